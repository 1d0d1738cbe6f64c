//! How large an expression may be: each `or`, `when` or `+` is a step deeper for the engine, and so is each
//! parenthesis; at some depth it ends without a word, or refuses in the middle of a night's run what it took alone.

use datafusion::common::DFSchema;
use datafusion::execution::context::SessionContext;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// The most parts that `and`, `or`, `when` and arithmetic may join.
pub(super) const PARTS_MAX: usize = 128;
/// What our own SQL puts around an expression, and more.
const LEVELS_AROUND: usize = 12;

/// Whether it joins more parts than the engine can go through; false where it is no SQL.
pub(super) fn has_too_many_parts(sql: &str) -> bool {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap_or_default();
    tokens.iter().filter(|token| joins(token)).nth(PARTS_MAX).is_some()
}

/// Whether it can be read alone, as it was, and not as a part of a query.
pub(super) fn is_too_deep(context: &SessionContext, schema: &DFSchema, sql: &str) -> bool {
    let within = format!("{}{sql}\n{}", "(".repeat(LEVELS_AROUND), ")".repeat(LEVELS_AROUND));
    context.parse_sql_expr(&within, schema).is_err()
}

fn joins(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(word.keyword, Keyword::AND | Keyword::OR | Keyword::XOR | Keyword::WHEN),
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => true,
        _ => false,
    }
}

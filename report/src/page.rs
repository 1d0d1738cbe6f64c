//! The frame of every page: head, style, escaped text, tables. No script, and a policy that forbids the network.

use std::fmt::Write as _;

/// Text as HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A page being written. All methods take plain text and escape it, except [`Page::raw`].
pub(crate) struct Page(String);

/// A table's column: its heading, and whether it holds figures.
#[derive(Clone, Copy)]
pub(crate) enum Column<'a> {
    Words(&'a str),
    Figure(&'a str),
    /// A long text of letters and digits that nobody reads.
    Hash(&'a str),
}

impl Column<'_> {
    /// The attribute of its cells.
    fn class(&self) -> &'static str {
        match self {
            Column::Words(_) => "",
            Column::Figure(_) => " class=\"figure\"",
            Column::Hash(_) => " class=\"hash\"",
        }
    }
}

impl Page {
    /// Begins a page.
    pub(crate) fn new(title: &str) -> Self {
        let title = escape(title);
        Self(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
            include_str!("page.css")
        ))
    }

    /// Ends it.
    pub(crate) fn end(mut self) -> String {
        self.0.push_str("</main>\n</body>\n</html>\n");
        self.0
    }

    /// HTML as it is: charts, and what other methods cannot say.
    pub(crate) fn raw(&mut self, html: &str) {
        self.0.push_str(html);
        self.0.push('\n');
    }

    /// One element with text.
    pub(crate) fn element(&mut self, tag: &str, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.0, "<{tag}{class}>{}</{tag}>", escape(text));
    }

    /// The heading of a section.
    pub(crate) fn heading(&mut self, text: &str) {
        self.element("h2", "", text);
    }

    /// What a figure means.
    pub(crate) fn definition(&mut self, text: &str) {
        self.element("p", "definition", text);
    }

    /// A chart with what it shows.
    pub(crate) fn figure(&mut self, svg: &str, caption: &str) {
        let _ = writeln!(
            self.0,
            "<figure role=\"img\" aria-label=\"{0}\">\n{svg}<figcaption>{0}</figcaption>\n</figure>",
            escape(caption)
        );
    }

    /// A table of text.
    pub(crate) fn table(&mut self, columns: &[Column<'_>], rows: &[Vec<String>]) {
        self.0.push_str("<table>\n<thead><tr>");
        for column in columns {
            let (Column::Words(heading) | Column::Figure(heading) | Column::Hash(heading)) = column;
            let _ = write!(self.0, "<th{}>{}</th>", column.class(), escape(heading));
        }
        self.0.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.0.push_str("<tr>");
            for (column, cell) in columns.iter().zip(row) {
                let _ = write!(self.0, "<td{}>{}</td>", column.class(), escape(cell));
            }
            self.0.push_str("</tr>\n");
        }
        self.0.push_str("</tbody>\n</table>\n");
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What every page must keep: nothing from elsewhere, nothing that runs.
    pub(crate) fn assert_self_contained(html: &str) {
        let without_namespace = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for forbidden in ["http://", "https://", "<script", "src=", "url(", "@import", "<link", "javascript:"] {
            assert!(!without_namespace.contains(forbidden), "{forbidden} in a page");
        }
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    }

    #[test]
    fn text_cannot_become_markup() {
        for (text, escaped) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("A & B \"quoted\" 'once'", "A &amp; B &quot;quoted&quot; &#39;once&#39;"),
            ("Müller – 漢字", "Müller – 漢字"),
        ] {
            assert_eq!(escape(text), escaped);
            let mut page = Page::new(text);
            page.element("p", "", text);
            page.table(&[Column::Words(text), Column::Figure("n")], &[vec![text.to_owned(), "1".to_owned()]]);
            page.figure("", text);
            let html = page.end();
            assert_eq!(html.matches(escaped).count(), 6);
            assert_self_contained(&html);
        }
    }
}

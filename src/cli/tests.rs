//! Help texts: every command ends with examples, and each example is a command line that is taken.

use clap::{CommandFactory as _, Parser as _};
use tollbook::demo;

use super::*;

/// Every command below this one, with the words that call it.
fn walk(command: &clap::Command, words: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    found.push((words.to_vec(), help));
    for inner in command.get_subcommands() {
        walk(inner, &[words, &[inner.get_name().to_owned()]].concat(), found);
    }
}

/// The words of a line as a shell reads them: quotes hold them together, and `>` ends what is tollbook's.
fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut quote, mut is_open) = (Vec::new(), None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (None, '"' | '\'') => {
                (quote, is_open) = (Some(letter), {
                    if !is_open {
                        words.push(String::new())
                    };
                    true
                })
            }
            (Some(open), letter) if open == letter => quote = None,
            (None, ' ') => is_open = false,
            (None, '>') => break,
            (_, letter) => {
                if !is_open {
                    words.push(String::new());
                    is_open = true;
                }
                words.last_mut().unwrap().push(letter);
            }
        }
    }
    words
}

#[test]
fn every_command_ends_with_examples_that_are_taken() {
    let mut found = Vec::new();
    walk(&Arguments::command(), &["tollbook".to_owned()], &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for (command, help) in found {
        let name = command.join(" ");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{name}: a line is broken where nobody meant it");
        let lines = help.replace("\\\n", " ");
        let examples: Vec<Vec<String>> = lines
            .lines()
            .filter(|line| line.starts_with("  "))
            .filter_map(|line| Some(words_of(&line[line.find("tollbook ")?..])))
            .collect();
        let own = |words: &Vec<String>| command[1..].iter().all(|word| words.contains(word));
        assert!(examples.iter().any(own), "{name} --help ends without an example of its own: {help}");
        for words in examples {
            if let Err(error) = Arguments::try_parse_from(&words) {
                assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{name}: {words:?}: {error}");
            }
        }
    }
}

#[test]
fn a_period_that_is_none_is_refused_before_anything_is_opened() {
    for (text, is_known) in
        [("2026-06", true), ("due", true), ("previous", true), ("2026-13", false), ("june", false), ("", false)]
    {
        assert_eq!(period(text).is_ok(), is_known, "{text}");
    }
}

/// The exit code of a demo whose ledger says something else than the tables is 10, whatever is printed.
#[test]
fn a_demo_that_differs_ends_with_10() {
    // The stack of the program's main thread, which the demo runs on: a test's is a quarter of it.
    let on_a_large_stack = std::thread::Builder::new().stack_size(8 << 20).spawn(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let world = Settings { seed: 11, events: 4_000, partners: 14, partitions: 3 };
            let settings =
                DemoSettings { world, folder: folder.path().join("demo"), brokers: None, month_after: false };
            let mut result = demo::run(&settings).await.unwrap();
            for json in [false, true] {
                assert_eq!(commands::print_demo(&result, json), 0);
            }
            result.ledger.access.accepted += 1;
            for json in [false, true] {
                assert_eq!(commands::print_demo(&result, json), 10);
            }
            result.stripe.shutdown().await;
        });
    });
    on_a_large_stack.unwrap().join().unwrap();
}

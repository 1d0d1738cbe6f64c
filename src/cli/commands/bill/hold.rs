//! Prints what people did to drafts: a line for each, or an object.

use tollbook::jobs::bill::hold::Acted;
use tollbook::output::{data, talk};

pub(super) fn print_acted(acted: &Acted, json: bool) {
    if json {
        acted.json().iter().for_each(|one| data(&one.to_string()));
    } else {
        acted.lines().iter().for_each(|line| data(line));
    }
    acted.notes.iter().for_each(|note| talk(note));
}

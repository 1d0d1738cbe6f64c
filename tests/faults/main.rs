//! Bad input and faults, as an operator meets them: the real binary in a folder of its own, and what it says then.
//!
//! Each row has a name, a fault and what must come of it: a row of `rejected`, or an exit code and a message that tells
//! what is wrong, where, and how to mend it. Nothing is lost or doubled: accepted and rejected together are the records
//! that were given, and the same command once more changes nothing. No other part is needed: Stripe is the double of
//! `simulate`, the broker is librdkafka's own mock, both in this process.

mod agreements;
mod alert;
mod billing;
mod broker;
mod catalog;
mod clock;
mod codes;
mod courses;
mod files;
mod folder;
mod glossary;
mod hold;
mod input;
mod known_bugs;
mod lake;
mod looking;
mod months;
mod printing;
mod reasons;
mod secrets;
mod stripe;
mod tampered;
mod terms;
mod unadjusted;
mod verify;

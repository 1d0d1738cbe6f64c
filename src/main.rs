//! tollbook
fn main() {}

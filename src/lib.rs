//! tollbook

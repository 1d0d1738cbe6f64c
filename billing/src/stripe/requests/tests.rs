use super::*;

#[test]
fn metadata_is_in_order_of_its_keys_and_nothing_else_moves() {
    for (form, expected) in [
        ("b=1&a=2", "b=1&a=2"),
        ("x=1&metadata[b]=1&metadata[a]=2&c=3", "x=1&metadata[a]=2&metadata[b]=1&c=3"),
        (
            "lines[0][metadata][b]=1&lines[0][metadata][a]=2&lines[1][metadata][a]=0",
            "lines[0][metadata][a]=2&lines[0][metadata][b]=1&lines[1][metadata][a]=0",
        ),
        ("", ""),
    ] {
        assert_eq!(in_order(form), expected);
    }
}

#[test]
fn requests_are_the_same_bytes_each_time_and_carry_what_the_protocol_needs() {
    let document = crate::stripe::testing::document(3);
    let first = create_invoice("ns", &document, "B-000001", "cus_1");
    for _ in 0..20 {
        assert_eq!(create_invoice("ns", &document, "B-000001", "cus_1"), first);
    }
    assert_eq!(first.path, "/v1/invoices");
    for (name, value) in [
        ("auto_advance", "false"),
        ("collection_method", "send_invoice"),
        ("pending_invoice_items_behavior", "exclude"),
        ("days_until_due", "21"),
        ("currency", "eur"),
        ("customer", "cus_1"),
        ("description", "Invoice B-000001"),
        ("metadata[tollbook_number]", "B-000001"),
        ("metadata[tollbook_line_count]", "3"),
        ("metadata[tollbook_invoice_id]", document.invoice_id.as_str()),
    ] {
        assert_eq!(field_of(&first.body, name).as_deref(), Some(value), "{name}");
    }
    let lines: Vec<&Line> = document.body.lines.iter().collect();
    let lines = add_lines(&document, "in_1", &lines);
    assert_eq!(lines.path, "/v1/invoices/in_1/add_lines");
    assert_eq!(field_of(&lines.body, "lines[2][amount]").as_deref(), Some("300"));
    let description = field_of(&lines.body, "lines[0][description]");
    assert_eq!(description.as_deref(), Some("Line 1: 100 % of a+b & c=d; ü"), "every character survives the form");
    assert_eq!(field_of(&lines.body, "lines[0][metadata][tollbook_line_id]"), Some(document.line_id(1).to_string()));
    assert_eq!(field_of(&finalise("in_1").body, "auto_advance").as_deref(), Some("true"));
    assert_eq!(list_lines("in_1", Some("il_9")), "/v1/invoices/in_1/lines?limit=100&starting_after=il_9");
}

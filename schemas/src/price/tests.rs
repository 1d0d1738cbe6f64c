use super::*;

fn read(json: &str) -> Result<Tariff, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn each_model_is_read_from_json() {
    for (json, word) in [
        (r#"{"model":"flat","amount":"49"}"#, "flat"),
        (r#"{"model":"per_unit","unit_price":"0.1","convert":"bytes_to_gib","included":10}"#, "per_unit"),
        (r#"{"model":"graduated","tiers":[{"up_to":"5","flat_price":"100"},{"unit_price":"1"}]}"#, "graduated"),
        (r#"{"model":"volume","tiers":[{"unit_price":"1"}],"settings":{"tier_edge":"ceil"}}"#, "volume"),
        (r#"{"model":"package","package_size":"10","package_price":"15"}"#, "package"),
        (r#"{"model":"percentage","percent":"1.3","fixed_fee":"2","free_events":3}"#, "percentage"),
        (r#"{"model":"graduated_percentage","tiers":[{"percent":"1"}]}"#, "graduated_percentage"),
        (r#"{"model":"matrix","dimensions":["region"],"cells":[{"values":["eu"],"unit_price":"1"}]}"#, "matrix"),
        (r#"{"model":"dynamic","maximum":"100","discount_percent":"50"}"#, "dynamic"),
    ] {
        assert_eq!(read(json).unwrap().model.as_str(), word, "{json}");
    }
}

#[test]
fn steps_and_settings_are_read() {
    let tariff = read(
        r#"{"model":"per_unit","unit_price":"1","convert":{"divide_by":"1000"},
            "round_quantity":{"direction":"half_up","digits":-2},"minimum":"1","maximum":"2",
            "settings":{"limits":"after_discount","split_rounding":"each"}}"#,
    )
    .unwrap();
    assert_eq!(tariff.steps.convert.unwrap().divide_by, Decimal::whole(1000));
    assert_eq!(tariff.steps.round_quantity.unwrap().to_multiple_of, Decimal::whole(100));
    assert_eq!(tariff.settings.limits, setting::Limits::AfterDiscount);
    assert_eq!(tariff.settings.split_rounding, setting::SplitRounding::Each);
    assert_eq!(tariff.settings.tier_edge, setting::TierEdge::HalfOpen);
}

#[test]
fn every_mistake_is_told_with_its_path() {
    for (json, words) in [
        (r#"{"amount":"49"}"#, "price.model: a price needs model"),
        (r#"{"model":"flt","amount":"49"}"#, "did you mean flat?"),
        (r#"{"model":"flat","amont":"49"}"#, "price.amont: unknown field `amont`, expected amount; "),
        (r#"{"model":"flat","amont":"49"}"#, "did you mean amount?"),
        (r#"{"model":"flat","amount":"49","colour":1}"#, "settings; remove it"),
        (r#"{"model":"flat","amount":49.5}"#, "price.amount: invalid type: floating point"),
        (r#"{"model":"flat","amount":null}"#, "a flat price needs amount"),
        (r#"{"model":"flat","amount":"1e3"}"#, "is not a plain decimal"),
        (r#"{"model":"flat","amount":"-1"}"#, "a price is negative"),
        (r#"{"model":"flat","amount":"1","amount":"2"}"#, "duplicate field `amount`"),
        (r#"{"model":"flat","amount":"1","unit_price":"2"}"#, "price.unit_price: unknown field"),
        (r#"{"model":"flat","amount":"1","included":"2"}"#, "a flat price has no included"),
        (r#"{"model":"per_unit"}"#, "a per_unit price needs unit_price"),
        (r#"{"model":"graduated","tiers":[]}"#, "there are no tiers"),
        (r#"{"model":"graduated","tiers":[{"up_to":"5","unit_price":"1"}]}"#, "price.tiers[0]: the last tier ends"),
        (r#"{"model":"volume","tiers":[{"unit_price":"1"},{"unit_price":"1"}]}"#, "is not the last"),
        (r#"{"model":"volume","tiers":[{"up_to":"0","unit_price":"1"},{"unit_price":"1"}]}"#, "tiers would overlap"),
        (r#"{"model":"volume","tiers":[{}]}"#, "a tier has no price"),
        (r#"{"model":"graduated","tiers":[{"percent":"1","unit_price":"1"}]}"#, "price.tiers[0].percent: unknown"),
        (r#"{"model":"package","package_size":"0","package_price":"1"}"#, "0 is not above 0"),
        (r#"{"model":"percentage","percent":"1","event_minimum":"2","event_maximum":"1"}"#, "1 is below minimum 2"),
        (r#"{"model":"matrix","dimensions":["a"],"cells":[{"values":[],"unit_price":"1"}]}"#, "0 values for 1 dimen"),
        (r#"{"model":"matrix","dimensions":["a"]}"#, "the matrix has no price"),
        (r#"{"model":"per_unit","unit_price":"1","minimum":"2","maximum":"1"}"#, "maximum 1 is below minimum 2"),
        (r#"{"model":"per_unit","unit_price":"1","discount_percent":"101"}"#, "more than everything"),
        (r#"{"model":"per_unit","unit_price":"1","convert":"bytes"}"#, "conversion \"bytes\" is not known"),
        (r#"{"model":"per_unit","unit_price":"1","convert":{"divide_by":"0"}}"#, "not above 0"),
        (r#"{"model":"per_unit","unit_price":"1","round_quantity":{"direction":"sideways"}}"#, "use up, down or half"),
        (r#"{"model":"per_unit","unit_price":"1","round_quantity":{"direction":"up","digits":13}}"#, "-25 to 12"),
        (r#"{"model":"per_unit","unit_price":"1","settings":{"tier_edge":"open"}}"#, "half_open or ceil"),
        (
            r#"{"model":"package","package_size":"1","package_price":"1","settings":{"quantity_basis":"prorated"}}"#,
            "has no prorated units",
        ),
        (
            r#"{"model":"per_unit","unit_price":"1","settings":{"proration":"by_time"}}"#,
            "price.settings: a per_unit price has no proration: its usage is that of the part already; remove proration",
        ),
        (r#"{"model":"per_unit","unit_price":"1","settings":{"per":"unit"}}"#, "a per_unit price has no per"),
        (
            r#"{"model":"graduated","tiers":[{"unit_price":"1"}],"settings":{"tier_edge":"ceil"}}"#,
            "price.settings: a graduated price has no tier_edge: it changes nothing there; remove tier_edge; it goes with volume",
        ),
        (
            r#"{"model":"per_unit","unit_price":"1","settings":{"package_remainder":"down"}}"#,
            "a per_unit price has no package_remainder",
        ),
        (
            r#"{"model":"package","package_size":"1","package_price":"1","settings":{"zero_usage_first_tier_flat":"not_charged"}}"#,
            "it goes with graduated, volume and graduated_percentage",
        ),
        (
            r#"{"model":"graduated","tiers":[{"unit_price":"1"}],"settings":{"volume_before_end":"billed"}}"#,
            "a graduated price has no volume_before_end",
        ),
        (r#"{"model":"dynamic","settings":{"split_rounding":"each"}}"#, "a dynamic price has no split_rounding"),
        (
            r#"{"model":"matrix","dimensions":["a"],"default_unit_price":"1","settings":{"split_rounding":"each"}}"#,
            "a matrix price has no split_rounding",
        ),
        (
            r#"{"model":"matrix","dimensions":["a"],"cells":[{"values":["b"],"price":{"model":"flat","amount":"1"}}]}"#,
            "price.cells[0].price: a cell has a unit_price; only an estimate takes a price in its place; write unit_price",
        ),
        (
            r#"{"model":"flat","amount":"1","settings":{"fixed_fee_at_zero_total":"charged"}}"#,
            "a flat price has no fixed_fee_at_zero_total",
        ),
        (r#"{"model":"flat","amount":"49,5"}"#, "write a point before the fraction"),
        (r#"{"model":"flat","amount":"4e1"}"#, "write all digits"),
        (
            r#"{"model":"flat","amount":"0.1234567890123"}"#,
            "price.amount: \"0.1234567890123\" has more than 12 digits after the point; write at most 12",
        ),
        (r#"{"model":"flat","amount":"1.2.3"}"#, "with at most one point"),
        (r#"{"model":"flat","amount":"1","settings":{"proration":"by_days"}}"#, "did you mean by_day?"),
        (r#"[]"#, "price: invalid type: a list, expected a table"),
    ] {
        let told = read(json).unwrap_err();
        assert!(told.contains(words), "{json}: {told}");
    }
}

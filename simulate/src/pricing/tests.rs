use super::*;

/// Each row: plan, quantity of each meter in millionths, amounts of its lines worked out by hand.
#[test]
fn plans_charge_what_was_worked_out_by_hand() {
    for (plan, millionths, amounts) in [
        (&STARTER, 5 * MICRO, vec![0]),
        // Nothing used: flat prices, and the flat price of a first tier, all the same.
        (&PRO, 0, vec![4900, 0, 0]),
        (&SCALE, 0, vec![9900, 0, 0]),
        (&LLM, 0, vec![1900, 0, 0]),
        (&NIPPON, 0, vec![5000, 0, 0]),
        // 1 call: 0.5 cent goes to 1 cent. 3 calls: 1.5 cents go to 2.
        (&PRO, MICRO, vec![4900, 0, 1]),
        (&PRO, 3 * MICRO, vec![4900, 0, 2]),
        // The last free call, and the first paid one (0.2 cent).
        (&PRO, 1000 * MICRO, vec![4900, 0, 500]),
        (&PRO, 1001 * MICRO, vec![4900, 0, 501]),
        // 9000 at 0.002 and 1 at 0.001.
        (&PRO, 10_000 * MICRO, vec![4900, 1800, 5000]),
        (&PRO, 10_001 * MICRO, vec![4900, 1800, 5001]),
        (&PRO, 12_000 * MICRO, vec![4900, 2000, 6000]),
        // The flat price of a tier comes with the first unit in it; 501 calls are 99 + 10 + 0.0015.
        (&SCALE, 500 * MICRO, vec![9900, 0, 155]),
        (&SCALE, 501 * MICRO, vec![10_900, 0, 155]),
        // 99 + 10 + 19500 x 0.0015 = 138.25; one more: + 50 + 0.0009.
        (&SCALE, 20_000 * MICRO, vec![13_825, 0, 6200]),
        (&SCALE, 20_001 * MICRO, vec![18_825, 0, 6200]),
        // Half a million bytes are 0.006 EUR.
        (&SCALE, 500_000 * MICRO, vec![18_825 + 43_200, 1, 155_000]),
        // 40 tokens are half a cent.
        (&LLM, 40 * MICRO, vec![1900, 1, 1750]),
        (&LLM, 39_999_999, vec![1900, 0, 1750]),
        (&LLM, 5 * MICRO, vec![1900, 0, 0]),
        (&LLM, 50 * MICRO, vec![1900, 1, 2250]),
        (&LLM, 51 * MICRO, vec![1900, 1, 2250 + 200 + 25]),
        // 0.35 yen a call: 10 calls are 3.5 yen, so 4.
        (&NIPPON, 10 * MICRO, vec![5000, 4, 0]),
        (&NIPPON, 1_000_500_000, vec![5000, 350, 0]),
        // 25 tokens more at 0.02 are half a yen; a millionth less is not.
        (&NIPPON, 1_025_500_000, vec![5000, 359, 1]),
        (&NIPPON, 1_025_499_999, vec![5000, 359, 0]),
    ] {
        let lines = lines(plan, |_| Quantity { millionths });
        let found: Vec<i128> = lines.iter().map(|line| line.amount_minor).collect();
        assert_eq!(found, amounts, "{} at {millionths} millionths", plan.id);
        assert_eq!(lines[0].price_id, plan.prices[0].0);
    }
}

#[test]
fn flat_lines_have_the_quantity_one() {
    let lines = lines(&LLM, |meter| Quantity { millionths: if meter == Meter::LlmTokens { 12_500_000 } else { 0 } });
    let quantities: Vec<String> = lines.iter().map(|line| line.quantity.to_string()).collect();
    assert_eq!(quantities, ["1", "12.5", "0"]);
}

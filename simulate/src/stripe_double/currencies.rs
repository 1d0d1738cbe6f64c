//! Currencies as Stripe's API has them: which it takes, the step of an amount, the smallest amount it collects.
//!
//! The list is written out here and not taken from `tollbook_schemas::money`, so that a mistake there shows.

use super::answers::Refusal;

/// Lower case, as in answers. UGX is left out: sources disagree about its minor unit.
const TAKEN: &str = "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad \
    cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf \
    idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur \
    mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rwf sar sbd scr sek sgd \
    shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";

/// The largest amount: eight digits.
pub(super) const AMOUNT_MOST: i64 = 99_999_999;

/// Takes a currency, in either case, and gives it in lower case.
pub(super) fn parse(param: &str, code: &str) -> Result<String, Refusal> {
    let code = code.to_ascii_lowercase();
    match TAKEN.split_whitespace().any(|taken| taken == code) {
        true => Ok(code),
        false => Err(Refusal::invalid(format!("Invalid currency: {code}")).param(param)),
    }
}

/// Amounts must be a multiple of this.
pub(super) fn step(currency: &str) -> i64 {
    match currency {
        "isk" => 100,
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        _ => 1,
    }
}

/// An amount due below this is not collected but carried to the customer's balance. 1 where no minimum is published.
pub(super) fn least_due(currency: &str) -> i64 {
    match currency {
        "usd" | "eur" | "aud" | "brl" | "cad" | "chf" | "inr" | "jpy" | "nzd" | "sgd" => 50,
        "gbp" => 30,
        "aed" | "myr" | "pln" | "ron" => 200,
        "dkk" => 250,
        "nok" | "sek" => 300,
        "hkd" => 400,
        "mxn" | "thb" => 1_000,
        "czk" => 1_500,
        "huf" => 17_500,
        _ => 1,
    }
}

/// Checks one amount.
pub(super) fn check_amount(param: &str, amount: i64, currency: &str) -> Result<(), Refusal> {
    if amount.unsigned_abs() > AMOUNT_MOST.unsigned_abs() {
        return Err(Refusal::invalid(format!("Amount must be no more than {AMOUNT_MOST}"))
            .code("amount_too_large")
            .param(param));
    }
    if amount % step(currency) != 0 {
        return Err(Refusal::invalid(format!(
            "Invalid amount: {amount} {currency} must be a multiple of {}",
            step(currency)
        ))
        .code("invalid_charge_amount")
        .param(param));
    }
    Ok(())
}

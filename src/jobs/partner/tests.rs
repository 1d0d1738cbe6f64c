use super::*;
use crate::jobs::check::init;

/// A configuration with the sample catalog and a lake in a temporary folder.
fn context(folder: &Path) -> JobContext {
    init(folder).unwrap();
    JobContext::open(&folder.join("tollbook.toml")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_is_imported_once() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let file = folder.path().join("partners.csv");
    std::fs::write(&file, TEMPLATE).unwrap();
    let planned = plan(&context, &file).await.unwrap();
    assert_eq!(planned.lines.len(), 5, "{:?}", planned.lines);
    assert!(context.lake.rows(&PARTNER_EVENT, None).await.unwrap().is_empty(), "a plan writes nothing");
    assert_eq!(apply(&context, &planned).await.unwrap(), (4, 1));
    assert_eq!(apply(&context, &planned).await.unwrap(), (0, 0));
    let (_, events) = context.pins().await.unwrap();
    let registry = tollbook_aggregate::read_registry(&context.lake, &events, None).await.unwrap();
    assert_eq!((registry.partners.len(), registry.links.len(), registry.subscriptions.len()), (1, 2, 1));
    assert!(registry.findings.is_empty());
    let printed = format!("{:?}", context.lake.rows(&PARTNER_EVENT, None).await.unwrap());
    assert!(!printed.contains("example.org") && !printed.contains("Street"), "contact data in an event");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    for (from, to, words) in [
        ("maps-pro", "maps-por", "no plan maps-por"),
        ("2026-05-01T00:00:00Z,acme-gw", "yesterday,acme-gw", "line 2"),
        (",DE,", ",Germany,", "two capital letters"),
        ("partner_id,", "partner,", "--template"),
        ("\nacme,Acme", "\na cme,Acme", "partner is missing"),
    ] {
        let file = folder.path().join("partners.csv");
        assert!(TEMPLATE.contains(from), "{from}");
        std::fs::write(&file, TEMPLATE.replacen(from, to, 1)).unwrap();
        let error = plan(&context, &file).await.map(|_| ()).unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains(words), "{to}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_by_hand_has_its_actor_and_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let event = |actor: &str, data: &str| Recorded {
        partner: "acme".into(),
        event_type: "registered".into(),
        at: "2026-05-01T00:00:00Z".into(),
        actor: actor.into(),
        data: data.into(),
    };
    record(&context, &event("staff:ann", "{}")).await.unwrap();
    record(&context, &event("staff:ann", "{}")).await.unwrap();
    let (_, events) = context.pins().await.unwrap();
    let registry = tollbook_aggregate::read_registry(&context.lake, &events, None).await.unwrap();
    assert_eq!((registry.partners.len(), registry.duplicate_count), (1, 1));
    assert!(record(&context, &event("ann", "{}")).await.is_err());
    assert!(record(&context, &event("staff:ann", r#"{"credential":"raw"}"#)).await.is_err());
    assert!(record(&context, &event("staff:ann", r#"{"billing_email":"a@example.org"}"#)).await.is_err());
}

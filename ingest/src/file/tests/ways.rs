//! The same bytes given in several ways, one after the other and at once.

use super::*;

/// As `ingestor`, in another way.
fn given(place: &Place, decoder: Decoder, gateway: &str, generation: Option<u32>) -> FileIngestor {
    let ingestor = place.ingestor("edge.log", 1 << 20);
    FileIngestor { decoder, gateway: gateway.to_owned(), environment_default: None, generation, ..ingestor }
}

/// One row is one run after those before it: what it says, or what it is refused with.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_read_in_one_way() {
    let place = Place::new();
    for (decoder, gateway, generation, expected) in [
        (Decoder::Nginx, "edge", Some(2), Err("was never read; now it is given with --decoder nginx --gateway edge")),
        (Decoder::Kong, "a#1", None, Err("nothing of")),
        (Decoder::Kong, "a#1", None, Err("all 54 records that --decoder kong --gateway \"a#1\" finds")),
        (Decoder::Kong, "edge", None, Err("with --decoder kong --gateway \"a#1\" (0 accepted, 54 rejected)")),
        (Decoder::CloudEvents, "", None, Err("add --generation 2 to these words")),
        (Decoder::Nginx, "edge", None, Err("add --generation 2 to these words")),
        (Decoder::Nginx, "edge", Some(1), Err("given with --decoder nginx --gateway edge --generation 1")),
        (Decoder::Nginx, "edge", Some(3), Err("add --generation 2 to these words")),
        // Another table, which shares `rejected` with the first.
        (Decoder::CloudEvents, "", Some(2), Err("give the right one and --generation 3")),
        (Decoder::CloudEvents, "whatever", None, Err("give the right one and --generation 3")),
        (Decoder::Nginx, "edge", Some(2), Err("--decoder cloudevents --generation 2 (0 accepted, 54 rejected)")),
        (Decoder::Nginx, "edge", Some(3), Ok((48, 6))),
        (Decoder::Nginx, "edge", None, Ok((0, 0))),
        (Decoder::Nginx, "edge", Some(3), Ok((0, 0))),
        (Decoder::Kong, "a#1", None, Err("--decoder nginx --gateway edge --generation 3 (48 accepted, 6 rejected)")),
        (Decoder::Nginx, "other", Some(4), Err("was accepted is not read again")),
    ] {
        let before = place.lake().watermark(&access_log::TABLE, &[]).await.unwrap();
        let result = given(&place, decoder, gateway, generation).run(received_at(), &silent).await;
        let found = result.map(|done| (done.report.accepted_total, done.report.rejected_total));
        let (found, told) = match &found {
            Ok(counts) => (Ok(*counts), String::new()),
            Err(error) => (Err(error), error.to_string()),
        };
        match expected {
            Ok(counts) => assert_eq!(found.ok(), Some(counts), "{told}"),
            Err(words) => {
                assert!(told.contains(words), "{words:?} is not in: {told}");
                // What is of no use says nothing of how far the data reach.
                assert_eq!(place.lake().watermark(&access_log::TABLE, &[]).await.unwrap(), before);
            }
        }
    }
    place.is_whole_of(3).await;
    assert_eq!(place.lake().watermark(&access_log::TABLE, &[]).await.unwrap(), Some(received_at()));
}

/// A process of the first reading may still run: it must have nothing left that it could accept.
#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_was_not_ended_is_ended_first() {
    let place = Place::new();
    let seen = Arc::new(tokio::sync::Notify::new());
    let told = seen.clone();
    let ingestor = FileIngestor {
        budget: Budget { batch_bytes_max: 500, ..Budget::default() },
        ..given(&place, Decoder::Kong, "edge", None)
    };
    let progress = move |progress: &Progress| {
        if progress.commits_total == 1 {
            told.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = seen.notified() => {}
        result = ingestor.run(received_at(), &progress) => panic!("it ended: {result:?}"),
    }
    let anew = given(&place, Decoder::Nginx, "edge", Some(2));
    let refused = anew.run(received_at(), &silent).await.unwrap_err().to_string();
    assert!(refused.contains(" of 60; end it first"), "{refused}");
    let ended = given(&place, Decoder::Kong, "edge", None).run(received_at(), &silent).await.unwrap_err();
    assert!(matches!(ended, IngestError::NothingAccepted { rejected: 54, next: 2, .. }), "{ended}");
    assert_eq!(anew.run(received_at(), &silent).await.unwrap().report.accepted_total, 48);
    place.is_whole_of(2).await;
}

/// Many at once in two ways: one way wins, and the others are told of it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_ways_at_once_one_wins() {
    let place = Place::new();
    let survey = survey_of(&place.path("edge.log")).unwrap();
    let ways = [(Decoder::Nginx, "edge"), (Decoder::CloudEvents, ""), (Decoder::Nginx, "other")];
    let ingestors: Vec<FileIngestor> =
        ways.iter().map(|(decoder, gateway)| given(&place, *decoder, gateway, None)).collect();
    let (one, two, three) = tokio::join!(
        known::admit(&ingestors[0], &survey),
        known::admit(&ingestors[1], &survey),
        known::admit(&ingestors[2], &survey)
    );
    let admitted = [one, two, three].iter().filter(|result| result.is_ok()).count();
    assert_eq!(admitted, 1);
}

/// A lake that was fed before ways were recorded: what its tables say is enough to count nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_ways_were_recorded_is_known_by_its_table() {
    let place = Place::new();
    let ingestor = place.ingestor("edge.log", 1 << 20);
    let survey = survey_of(&ingestor.path).unwrap();
    let source = Source::file("old.log", &survey.sha256).unwrap();
    let step = TxnStep { app_id: source.app_id(PARTITION), expected: None, next: LINES_TOTAL };
    place.lake().append(&access_log::TABLE, &[], &[step]).await.unwrap();
    let again = ingestor.run(received_at(), &silent).await.unwrap();
    assert_eq!((again.source, again.report.commits_total), (source, 0));
    let refused = given(&place, Decoder::CloudEvents, "", None).run(received_at(), &silent).await.unwrap_err();
    assert!(refused.to_string().contains("did not record how (0 accepted, 0 rejected)"), "{refused}");
    let anew = given(&place, Decoder::Nginx, "edge", Some(2)).run(received_at(), &silent).await.unwrap();
    assert_eq!(anew.report.accepted_total, 48);
    assert!(anew.source.as_str().ends_with("/2"), "{}", anew.source);
}

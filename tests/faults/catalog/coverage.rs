//! What the products cover: each request counted once, by product, overlap and group, from the command line.

use serde_json::json;

use crate::folder::{Folder, MONTH};

const PRODUCTS: &str = r#"
[[product]]
id = "maps"
name = "Maps"
routes = ["/maps/"]
[[product]]
id = "tiles"
name = "Tiles"
[[product.rule]]
route = "/maps/tiles/"
method = ["GET"]
[[product]]
id = "eu"
name = "Europe"
[[product.rule]]
host = "*.eu.example.com"
[[product]]
id = "named"
name = "Named"
routes = []
"#;

/// Requests of June, but for the last; the second of them comes twice, and one is taken back.
const REQUESTS: &str = r#"{"event_id":"1","occurred_at":"2026-06-01T00:00:00Z","method":"GET","host":"a","path":"/maps/1"}
{"event_id":"2","occurred_at":"2026-06-01T01:00:00Z","method":"GET","host":"a","path":"/maps/tiles/1"}
{"event_id":"2","occurred_at":"2026-06-01T01:00:00Z","method":"GET","host":"a","path":"/maps/tiles/1"}
{"event_id":"3","occurred_at":"2026-06-02T00:00:00Z","method":"POST","host":"a","path":"/maps/tiles/1"}
{"event_id":"4","occurred_at":"2026-06-03T00:00:00Z","method":"GET","host":"X.eu.example.com:443","path":"/maps/tiles/1"}
{"event_id":"5","occurred_at":"2026-06-03T00:00:00Z","method":"GET","host":"x.eu.example.com","path":"/","product":"named"}
{"event_id":"6","occurred_at":"2026-06-03T00:00:00Z","method":"GET","host":"a","path":"/v1/x"}
{"event_id":"7","occurred_at":"2026-06-03T00:00:00Z","method":"get","host":"A","path":"/v1/y","product":"nobody"}
{"event_id":"8","occurred_at":"2026-06-03T00:00:00Z"}
{"event_id":"9","occurred_at":"2026-06-04T00:00:00Z","method":"GET","host":"a","path":"/v1/z"}
{"event_id":"10","kind":"retraction","corrects_event_id":"9","occurred_at":"2026-06-05T00:00:00Z"}
{"event_id":"11","occurred_at":"2026-07-01T00:00:00Z","method":"GET","host":"a","path":"/maps/1"}
"#;

#[test]
fn each_request_is_in_one_count() {
    let folder = Folder::new();
    folder.write("catalog/catalog.toml", PRODUCTS);
    folder.run(&["catalog", "coverage"]).fails(2, &["no request was counted yet", "tollbook aggregate"]);
    folder.write("requests.log", REQUESTS);
    assert_eq!(folder.ingest("requests.log", "native"), (12, 0));
    let told = folder.run(&["aggregate", "--as-of", MONTH[3]]).done().told;
    assert!(told.contains("of 9 requests in these hours 3 (33.33 %) are of no product"), "{told}");
    let before = folder.all_rows();
    let june = folder.run(&["catalog", "coverage", "--period", "2026-06", "--json"]).json();
    let product =
        |id: &str, requests: i64, hinted: i64| json!({ "product_id": id, "requests": requests, "hinted": hinted });
    let overlap = |won: &str, other: &str, by: &str, requests: i64| json!({ "won": won, "other": other, "by": by, "requests": requests });
    assert_eq!(
        june,
        json!({ "month": "2026-06", "requests": 8, "unmapped": 3,
            "products": [product("eu", 1, 0), product("maps", 2, 0), product("named", 1, 1), product("tiles", 1, 0),
                product("unmapped", 3, 0)],
            "overlaps": [overlap("eu", "maps", "rule", 1), overlap("eu", "tiles", "rule", 1),
                overlap("named", "eu", "hint", 1), overlap("tiles", "maps", "rule", 1)],
            "unmapped_groups": [json!({ "host": "a", "method": "GET", "route": "/v1", "requests": 2 }),
                json!({ "host": null, "method": null, "route": null, "requests": 1 })],
            "unmapped_group_count": 2 })
    );
    // All that was counted, for people, and in other groups.
    let shown = folder.run(&["catalog", "coverage", "--depth", "2", "--top", "1"]).done().printed;
    for line in [
        "9 requests in all that was counted; of no product: 3, which is 33.33 %",
        "maps 3 33.33 % 0",
        "tiles maps 1 11.11 % the more specific rule",
        "named eu 1 11.11 % the gateway's word",
        "a GET /v1/x 1 11.11 %",
        "and 2 groups more, with 2 requests",
    ] {
        let is_told = |told: &str| told.split_whitespace().collect::<Vec<_>>().join(" ") == line;
        assert!(shown.lines().any(is_told), "{line}: {shown}");
    }
    // It looks with the catalog of the folder, and writes nothing.
    folder.write("catalog/catalog.toml", PRODUCTS.replace("\"/maps/\"", "\"/maps/\", \"/v1/\""));
    let mended = folder.run(&["catalog", "coverage", "--json"]).json();
    assert_eq!((&mended["requests"], &mended["unmapped"]), (&json!(9), &json!(1)));
    assert_eq!(folder.all_rows(), before);
    let none = folder.run(&["catalog", "coverage", "--period", "2025-01"]).done().printed;
    assert_eq!(none.trim(), "no request in 2025-01 (UTC)");
}

/// Two rules that leave open whose a request is: refused before anything is computed, with both places.
#[test]
fn rules_that_leave_the_product_open_are_refused() {
    let folder = Folder::new();
    let catalog = format!(
        "{PRODUCTS}[[product]]\nid = \"other\"\nname = \"O\"\n[[product.rule]]\nroute = \"/maps/tiles/\"\nmethod = [\"GET\", \"PUT\"]\n"
    );
    folder.write("catalog/catalog.toml", catalog);
    let words = [
        "a request can fit rule `GET, PUT /maps/tiles/` of product other and rule `GET /maps/tiles/` of product tiles at \
         catalog.toml:9, and neither is more specific",
        "--> catalog/catalog.toml:24:1",
        "1 problem",
    ];
    folder.run(&["check"]).fails(2, &words);
    folder.run(&["aggregate", "--as-of", MONTH[3]]).fails(2, &words);
}

//! Compares the names in `docs/operations.md` with the code.

use std::{collections::BTreeSet, fs, path::Path};

use weir_gateway::telemetry::catalogue::{Instrument, METRICS};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn document() -> String {
    fs::read_to_string(root().join("docs/operations.md")).expect("the document is there")
}

/// Returns the cells of the first table of a section, by row.
fn table(section: &str) -> Vec<Vec<String>> {
    let document = document();
    let (_, rest) = document.split_once(section).expect("the section is there");
    let rows = rest.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// Returns the first text in backquotes.
fn word(cell: &str) -> &str {
    cell.split('`')
        .nth(1)
        .unwrap_or_else(|| panic!("no name in {cell}"))
}

/// Returns the code of all crates.
fn source() -> String {
    let mut text = String::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && name != "tests" && name != "weir-testkit" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                text += &fs::read_to_string(&path).expect("a file");
            }
        }
    }
    text
}

#[test]
fn documented_metrics_are_those_of_the_catalogue() {
    let kind = |instrument| match instrument {
        Instrument::Counter => "counter",
        Instrument::Gauge => "gauge",
        Instrument::Histogram => "histogram",
    };
    let documented: Vec<_> = table("\n## Metrics\n")
        .iter()
        .map(|row| [word(&row[0]), &row[2], &row[5]].map(str::to_owned))
        .collect();
    let known: Vec<_> = METRICS
        .iter()
        .map(|metric| [metric.name, kind(metric.instrument), metric.description].map(str::to_owned))
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn documented_spans_are_those_of_the_code() {
    let source = source();
    // The name of a span is the first argument of each call that creates one.
    let calls = source
        .split("trace::start(")
        .chain(source.split("trace::record("))
        .skip(1);
    let made: BTreeSet<_> = calls
        .filter_map(|call| {
            let argument = call.trim_start();
            argument
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next())
        })
        .collect();
    let rows = table("\n## Traces, and logs for a collector\n");
    let documented: BTreeSet<_> = rows
        .iter()
        .filter(|row| row[0].starts_with('`') && row[0].ends_with('`') && !row[0].contains(" and "))
        .map(|row| word(&row[0]))
        .collect();
    assert_eq!(documented, made);
    for made_of in [
        "format!(\"directory.{operation}\")",
        "let name = event.to_owned();",
    ] {
        assert!(source.contains(made_of), "{made_of}");
    }
}

#[test]
fn documented_log_lines_are_those_of_the_code() {
    let source = source();
    for row in table("\n## Logs\n") {
        let message = word(&row[0]);
        assert!(source.contains(&format!("\"{message}\"")), "{message}");
    }
}

#[test]
fn documented_endpoints_are_those_of_the_operations_listener() {
    let source = fs::read_to_string(root().join("crates/weir-gateway/src/ops.rs")).expect("a file");
    let routes = source.split(".route(\"").skip(1);
    let routes: BTreeSet<_> = routes.filter_map(|route| route.split('"').next()).collect();
    let documented = table("\n## The operations listener\n");
    let documented: BTreeSet<_> = documented.iter().map(|row| word(&row[0])).collect();
    assert_eq!(documented, routes);
}

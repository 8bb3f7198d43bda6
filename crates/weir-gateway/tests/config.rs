//! The configuration from a user's view: layers, errors and documentation.

use std::{collections::BTreeMap, fs, path::Path};

use toml::{Table, Value};
use weir_gateway::config::{Config, Effective, Flag, Sources};

const EXAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/weir.example.toml"
);

/// Returns sources with these variables and flags, and a file with this text unless it is empty.
fn sources(
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Sources {
    let path = (!file.is_empty()).then(|| {
        let name = format!("{:x}.toml", fnv(file));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, file).expect("the file is written");
        path
    });
    let flag = |(name, key, value): &(&'static str, &'static str, &str)| Flag {
        name,
        key,
        value: (*value).to_owned(),
    };
    let variable = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
    Sources {
        file: path,
        environment: variables.iter().map(variable).collect(),
        flags: flags.iter().map(flag).collect(),
    }
}

/// Hashes the text of a file, for a name that no concurrent test uses.
fn fnv(text: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325;
    text.bytes().fold(start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn loaded(sources: Sources) -> Effective {
    sources.load().expect("a good configuration")
}

fn refused(sources: Sources) -> String {
    sources.load().expect_err("a bad configuration").to_string()
}

#[test]
fn later_layers_take_precedence_and_each_value_has_its_origin() {
    let file =
        "[server]\nlisten = \"127.0.0.1:1\"\nmax_connections = 7\n[limits]\nchunk_bytes = 5\n";
    let variables = [
        ("WEIR_SERVER__LISTEN", "127.0.0.1:2"),
        ("WEIR_LIMITS__CHUNK_BYTES", "6"),
    ];
    let flags = [("--listen", "server.listen", "127.0.0.1:3")];
    let effective = loaded(sources(file, &variables, &flags));
    assert_eq!(effective.config.server.listen.port(), 3);
    assert_eq!(effective.config.limits.chunk_bytes, 6);
    assert_eq!(effective.config.server.max_connections, 7);
    assert_eq!(effective.config.limits.name_chars, 128);
    let printed = effective.to_string();
    let line = |start: &str| {
        let found = printed.lines().find(|line| line.starts_with(start));
        found.expect(start).to_owned()
    };
    assert!(line("listen = ").ends_with("# --listen"), "{printed}");
    assert!(
        line("chunk_bytes = 6").ends_with("# env WEIR_LIMITS__CHUNK_BYTES"),
        "{printed}"
    );
    assert!(line("max_connections = 7").contains("# file "), "{printed}");
    assert!(line("name_chars = 128").ends_with("# default"), "{printed}");
}

#[test]
fn printed_configuration_loads_to_the_same_values() {
    let first = loaded(sources("[log]\nfilter = \"warn\"\n", &[], &[]));
    let second = loaded(sources(&first.to_string(), &[], &[]));
    assert_eq!(first.config, second.config);
}

#[test]
fn printed_configuration_masks_secrets_and_is_refused_until_they_are_restored() {
    let secret = [
        ("WEIR_REDIS__URL", "redis://weir:hunter2@localhost:6379/3"),
        ("WEIR_TELEMETRY__OTLP_ENDPOINT", "http://me:hunter2@host:1"),
    ];
    let printed = loaded(sources("", &secret, &[])).to_string();
    assert!(!printed.contains("hunter2"), "{printed}");
    for line in [
        "url = \"redis://***@localhost:6379/3\"",
        "otlp_endpoint = \"http://***@host:1\"",
    ] {
        let line = printed.lines().find(|found| found.starts_with(line));
        let line = line.unwrap_or_else(|| panic!("{printed}"));
        assert!(line.ends_with("which must be restored"), "{line}");
    }
    let error = refused(sources(&printed, &[], &[]));
    for key in ["redis.url", "telemetry.otlp_endpoint"] {
        let line = error.lines().find(|line| line.contains(key));
        let line = line.unwrap_or_else(|| panic!("{error}"));
        assert!(
            line.contains("`weir config` replaced this secret"),
            "{line}"
        );
    }
    let back = printed.replace("***", "weir:hunter2");
    assert!(sources(&back, &[], &[]).load().is_ok());
}

#[test]
fn errors_mask_secrets() {
    let file = "[redis]\nsentinal_password = \"hunter2\"\nurl = \"redis://me:hunter2@\"\n";
    let error = refused(sources(file, &[("WEIR_REDIS_PASSWORD", "hunter2")], &[]));
    assert!(!error.contains("hunter2"), "{error}");
    for url in [
        ":hunter2@localhost:6379",
        "me:hunter2@localhost",
        "redis://localhost?password=hunter2",
        "redis-cluster://localhost?node=other&password=hunter2&user=me",
        "redis-sentinel://localhost?master=m&node=me:hunter2@other",
    ] {
        let error = refused(sources("", &[("WEIR_REDIS__URL", url)], &[]));
        assert!(!error.contains("hunter2"), "{error}");
        assert!(
            error.contains("localhost") || url.contains("node=me"),
            "{error}"
        );
    }
}

#[test]
fn trusted_proxies_are_a_list_or_text_separated_by_commas() {
    let file = "[server]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"]\n";
    let listed = loaded(sources(file, &[], &[]));
    let text = "127.0.0.1/32, 10.0.0.0/8,fd00::/8,";
    let by_variable = loaded(sources("", &[("WEIR_SERVER__TRUSTED_PROXIES", text)], &[]));
    let proxies = &listed.config.server.trusted_proxies;
    assert_eq!(proxies.len(), 3);
    assert_eq!(*proxies, by_variable.config.server.trusted_proxies);
    let again = loaded(sources(&listed.to_string(), &[], &[]));
    assert_eq!(again.config, listed.config);
    let text = "::ffff:127.0.0.1, ::ffff:10.0.0.0/104, fd00::/8";
    let mapped = loaded(sources("", &[("WEIR_SERVER__TRUSTED_PROXIES", text)], &[]));
    assert_eq!(
        mapped.config, listed.config,
        "IPv4 addresses as an IPv6 listener has them"
    );
    for wrong in ["10.0.0.0/33", "localhost", "10.0.0.0-10.0.0.9"] {
        let error = refused(sources("", &[("WEIR_SERVER__TRUSTED_PROXIES", wrong)], &[]));
        assert!(error.contains("a list of addresses and ranges"), "{error}");
    }
    let error = refused(sources(
        "[server]\nproxy_protocol = \"required\"\n",
        &[],
        &[],
    ));
    assert!(error.contains("server.trusted_proxies"), "{error}");
}

/// Invalid files, with parts of their errors.
const INVALID: &[(&str, &[&str])] = &[
    (
        "[server]\nlisen = \"a\"\n",
        &["server.lisen", "\"a\"", "did you mean server.listen?"],
    ),
    (
        "[limits]\nchunk_bytes = 0\n",
        &["limits.chunk_bytes = 0", "a whole number of bytes from 1"],
    ),
    (
        "[limits]\nchunk_bytes = \"1\"\n",
        &["limits.chunk_bytes = \"1\"", "a whole number"],
    ),
    (
        "[limits]\nchunk_bytes = -1\n",
        &["limits.chunk_bytes = -1", "a whole number"],
    ),
    (
        "[limits]\nchunk_bytes = 1.5\n",
        &["limits.chunk_bytes = 1.5", "a whole number"],
    ),
    (
        "[server]\nlisten = \"localhost\"\n",
        &["server.listen = \"localhost\"", "an IP address and a port"],
    ),
    (
        "[log]\nformat = \"xml\"\n",
        &["log.format = \"xml\"", "\"auto\", \"human\", \"json\""],
    ),
    (
        "[log]\nfilter = \"a=b=c\"\n",
        &["log.filter", "a level (error, warn"],
    ),
    (
        "[rooms]\ncreate_on_join = 1\n",
        &["rooms.create_on_join = 1", "true or false"],
    ),
    (
        "[romms]\nempty_ttl_ms = 1\n",
        &["romms.empty_ttl_ms", "did you mean rooms.empty_ttl_ms?"],
    ),
    (
        "listen = \"0.0.0.0:1\"\n",
        &["listen = ", "did you mean server.listen?"],
    ),
    (
        "[limits]\nchunk_bytes = 5000000\n",
        &[
            "limits.chunk_bytes = 5000000",
            "limits.websocket_message_bytes",
            "egress.queue_bytes",
        ],
    ),
    (
        "[server]\nops_listen = \"127.0.0.1:8080\"\n",
        &["server.ops_listen", "server.listen", "use different ports"],
    ),
    ("[server\n", &["cannot load", "--config"]),
];

#[test]
fn errors_name_the_key_the_value_and_valid_values() {
    for (file, parts) in INVALID {
        let error = refused(sources(file, &[], &[]));
        for part in *parts {
            assert!(error.contains(part), "{file}: no {part:?} in {error}");
        }
    }
}

#[test]
fn removed_key_is_refused_with_advice() {
    let why = "there is no such key; batching was removed and nothing replaces it; delete the key";
    let file = refused(sources("[redis]\nbatch_ms = 0\n", &[], &[]));
    assert!(file.contains(&format!(".toml): {why}")), "{file}");
    for variable in ["WEIR_REDIS__BATCH_MS", "WEIR_REDIS_BATCH_MS"] {
        let error = refused(sources("", &[(variable, "15")], &[]));
        let problem = format!("{variable} = \"15\" (environment): {why}");
        assert!(error.contains(&problem), "{error}");
    }
}

#[test]
fn sentinel_credentials_are_unescaped_and_masked() {
    let sentinels = "redis-sentinel://u:server%27s@s?master=m";
    let loaded = loaded(sources(
        "",
        &[
            ("WEIR_REDIS__URL", sentinels),
            ("WEIR_REDIS__SENTINEL_USERNAME", "watcher"),
            ("WEIR_REDIS__SENTINEL_PASSWORD", "s3cret %41&"),
        ],
        &[],
    ));
    assert_eq!(loaded.config.redis.sentinel_username, "watcher");
    assert_eq!(loaded.config.redis.sentinel_password, "s3cret %41&");
    let printed = loaded.to_string();
    for part in [
        "sentinel_username = \"watcher\"",
        "sentinel_password = \"***\"",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    assert!(!printed.contains("s3cret") && !printed.contains("server%27"));
    for (file, parts) in [
        (
            "[redis]\nurl = \"redis://r\"\nsentinel_password = \"s3cret\"\n",
            ["redis.sentinel_password = \"***\"", "redis-sentinel://"],
        ),
        (
            "[redis]\nurl = \"redis-sentinel://r?master=m\"\nsentinel_username = \"u\"\n",
            ["redis.sentinel_username", "redis.sentinel_password"],
        ),
        (
            "[redis]\nsentinel_pasword = \"s3cret\"\nsentinel_password = 12345\n",
            [
                "did you mean redis.sentinel_password?",
                "redis.sentinel_password = \"***\"",
            ],
        ),
        (
            "[redis]\nurl = \"redis://u:s3cret/12345@r\"\n",
            ["redis.url = \"redis://***@r\"", "write %2F"],
        ),
    ] {
        let error = refused(sources(file, &[], &[]));
        for part in parts {
            assert!(error.contains(part), "{file}: no {part:?} in {error}");
        }
        assert!(!error.contains("12345"), "{error}");
    }
}

#[test]
fn listeners_with_overlapping_addresses_need_different_ports() {
    for (listen, ops_listen, meet) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "0.0.0.0:80", true),
        ("[::]:80", "[::1]:80", true),
        // Where IPv6 takes every address, IPv4's are among them.
        ("[::]:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "[::]:80", true),
        ("0.0.0.0:80", "[::1]:80", false),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("0.0.0.0:80", "127.0.0.1:81", false),
        ("0.0.0.0:0", "0.0.0.0:0", false),
    ] {
        let flags = [
            ("--listen", "server.listen", listen),
            ("--ops-listen", "server.ops_listen", ops_listen),
        ];
        let loaded = sources("", &[], &flags).load();
        assert_eq!(loaded.is_err(), meet, "{listen} {ops_listen}: {loaded:?}");
    }
}

#[test]
fn bounds_are_valid_values() {
    let number = |key: &str, value: u64| {
        let (section, name) = key.split_once('.').expect("a key has a section");
        let file = format!("[{section}]\n{name} = {value}\n");
        sources(&file, &[], &[]).load()
    };
    for (key, min, max) in [
        ("rooms.max_rooms", 1, 1_000_000_000),
        ("server.header_timeout_ms", 1, 86_400_000),
    ] {
        for good in [min, max] {
            assert!(number(key, good).is_ok(), "{key} = {good}");
        }
        for bad in [min - 1, max + 1] {
            let error = number(key, bad)
                .expect_err("it is out of bounds")
                .to_string();
            let right = format!("{key} = {bad}");
            assert!(
                error.contains(&right) && error.contains(&format!("from {min} to {max}")),
                "{error}"
            );
        }
    }
    let per_address = number("server.max_connections_per_address", 0).expect("0 is no limit");
    assert_eq!(per_address.config.server.max_connections_per_address, None);
    let threads = number("server.threads", 0).expect("0 is one for each core");
    assert_eq!(threads.config.server.threads, None);
    assert!(number("server.threads", 1_025).is_err());
}

#[test]
fn all_problems_are_reported_at_once() {
    let file = "[limits]\nchunk_bytes = 0\nname_chars = 0\n";
    let error = refused(sources(
        file,
        &[("WEIR_LOG__FORMAT", "xml")],
        &[("--listen", "server.listen", "x")],
    ));
    for part in [
        "limits.chunk_bytes",
        "limits.name_chars",
        "WEIR_LOG__FORMAT",
        "--listen",
    ] {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

#[test]
fn unknown_variables_of_ours_are_refused_and_others_ignored() {
    for (variable, right) in [
        ("WEIR_SERVER_LISTEN", "WEIR_SERVER__LISTEN"),
        ("WEIR_SERVER__LISEN", "WEIR_SERVER__LISTEN"),
        ("WEIR_LIMITS__CHUNKS", ""),
        ("WEIR_LOG", "WEIR_LOG__FILTER"),
        ("WEIR_server__listen", "did you mean WEIR_SERVER__LISTEN?"),
        ("weir_server__listen", "did you mean WEIR_SERVER__LISTEN?"),
        ("WEIR_LISTEN", "did you mean WEIR_SERVER__LISTEN?"),
        ("WEIR_OPS_LISTEN", "did you mean WEIR_SERVER__OPS_LISTEN?"),
        ("WEIR_OPS__LISTEN", "did you mean WEIR_SERVER__OPS_LISTEN?"),
        ("WEIR_LISTENS", "did you mean WEIR_SERVER__LISTEN?"),
        (
            "WEIR_MAX_CONNECTION",
            "did you mean WEIR_SERVER__MAX_CONNECTIONS?",
        ),
        ("WEIR_LOG_LEVEL", "did you mean WEIR_LOG__FILTER?"),
        ("WEIR_CONFIG_FILE", "did you mean WEIR_CONFIG?"),
        ("WEIR_CONFIG_PATH", "did you mean WEIR_CONFIG?"),
        ("WEIR_REDIS_URL", "did you mean WEIR_REDIS__URL?"),
    ] {
        let error = refused(sources("", &[(variable, "x")], &[]));
        assert!(error.contains(variable) && error.contains(right), "{error}");
    }
    let url = [("WEIR_URL", "redis://localhost")];
    let error = refused(sources("", &url, &[]));
    assert!(error.contains("did you mean WEIR_REDIS__URL?"), "{error}");
    let neighbours = [
        ("WEIR_SERVICE_HOST", "10.0.0.1"),
        ("WEIR_PORT", "tcp://10.0.0.1:80"),
        ("WEIR_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("WEIR_ROOMS_SERVICE_PORT_HTTP", "80"),
        ("WEIR_URL", "http://localhost"),
        ("WEIR_BIN", "target/debug/weir"),
        ("WEIR_TEST_SEED", "1"),
        ("WEIR_CHROMIUM", "/usr/bin/chromium"),
        ("WEIR_HOME", "/srv/weir"),
        ("WEIR_IMAGE", "weir:local"),
        ("PATH", "/bin"),
    ];
    assert_eq!(
        loaded(sources("", &neighbours, &[])).config,
        Config::default()
    );
}

#[test]
fn flag_takes_precedence_over_the_variable_for_the_file() {
    let by_flag = sources(
        "[limits]\nname_chars = 1\n",
        &[("WEIR_CONFIG", "/no/such/file")],
        &[],
    );
    assert_eq!(loaded(by_flag).config.limits.name_chars, 1);
    let missing = refused(sources("", &[("WEIR_CONFIG", "/no/such/file")], &[]));
    assert!(
        missing.contains("/no/such/file") && missing.contains("WEIR_CONFIG"),
        "{missing}"
    );
}

#[test]
fn example_documents_every_key_with_its_default() {
    let example = fs::read_to_string(EXAMPLE).expect("the example is there");
    let table = example.parse::<Table>().expect("the example is TOML");
    let defaults = Table::try_from(Config::default()).expect("the defaults can be written");
    assert_eq!(keys(&table), keys(&defaults));
    let lines: Vec<_> = example.lines().collect();
    for (at, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains(" = ") && !line.starts_with('#'))
    {
        assert!(lines[at - 1].starts_with("# "), "{line} is not documented");
    }
    let path = sources("", &[("WEIR_CONFIG", EXAMPLE)], &[]);
    assert_eq!(loaded(path).config, Config::default());
}

fn keys(table: &Table) -> BTreeMap<String, Value> {
    let sections = table.iter().flat_map(|(section, keys)| {
        let keys = keys.as_table().expect("every key has a section");
        keys.iter()
            .map(move |(key, value)| (format!("{section}.{key}"), value.clone()))
    });
    sections.collect()
}

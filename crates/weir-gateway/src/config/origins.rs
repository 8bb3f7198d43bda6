//! Validation of page origins (RFC 6454, section 6.2).

use toml::Value;

/// Whether these are origins as browsers write them, or only `*`.
pub(super) fn fit(texts: &[Value]) -> bool {
    match texts {
        [Value::String(all)] if all == "*" => true,
        _ => texts
            .iter()
            .all(|text| text.as_str().is_some_and(is_origin)),
    }
}

/// Whether a browser would write an origin this way: in lowercase, without a path, and without the
/// default port of its scheme. Any other form would never match a page's origin.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let scheme_fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    let host_fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "::",
    };
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.chars().all(scheme_fits)
        && host.chars().all(host_fits)
        && host.parse::<http::uri::Authority>().is_ok()
        && !host.ends_with(default_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_fit(texts: &[&str]) -> bool {
        let texts: Vec<_> = texts.iter().map(|text| Value::from(*text)).collect();
        fit(&texts)
    }

    #[test]
    fn only_origins_in_the_form_of_browsers_are_valid() {
        for origin in [
            "https://app.example",
            "http://localhost:5173",
            "http://[::1]:8080",
            "http://127.0.0.1",
            "https://xn--caf-dma.example",
            "capacitor://localhost",
        ] {
            assert!(all_fit(&[origin]), "{origin}");
        }
        assert!(all_fit(&["*"]) && all_fit(&[]));
        for wrong in [
            "",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example/app",
            "https://App.example",
            "HTTPS://app.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://user@app.example",
            "https://*.example",
            "https://a.example https://b.example",
            "null",
        ] {
            assert!(!all_fit(&[wrong]), "{wrong}");
        }
        assert!(!all_fit(&["*", "https://app.example"]));
    }
}

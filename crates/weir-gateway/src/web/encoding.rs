//! Content negotiation between the precompressed forms of a file.

use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};

/// Content coding that the web app's build emits beside its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Brotli (RFC 7932).
    Brotli,
    /// gzip (RFC 1952).
    Gzip,
}

impl Encoding {
    /// All codings, the one with the smallest output first.
    const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// Returns the file name suffix of this coding.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// Returns the value of `Content-Encoding`.
    pub(super) fn name(self) -> HeaderValue {
        HeaderValue::from_static(self.token())
    }

    fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Returns the codings that a request accepts, in order of preference (RFC 9110, section
    /// 12.5.3): by the client's weights, then by smaller output. A malformed weight counts as 0.
    pub(super) fn accepted(headers: &HeaderMap) -> Vec<Self> {
        let mut accepted: Vec<_> = Self::ALL
            .into_iter()
            .map(|coding| (coding, weight(headers, coding.token())))
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        // Stable: codings of equal weight keep the order of `ALL`.
        accepted.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        accepted.into_iter().map(|(coding, _)| coding).collect()
    }
}

/// Returns the weight of a coding in a request: its own, else that of `*`, else 0.
fn weight(headers: &HeaderMap, coding: &str) -> f32 {
    let (mut own, mut any) = (None, None);
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    for item in lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
    {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = match parameters.trim() {
            "" => 1.0,
            weight => weight
                .strip_prefix("q=")
                .or_else(|| weight.strip_prefix("Q="))
                .and_then(|weight| weight.parse().ok())
                .filter(|weight| (0.0..=1.0).contains(weight))
                .unwrap_or(0.0),
        };
        match name.trim() {
            "*" => any = Some(weight),
            // An alias of gzip (RFC 9110, section 8.4.1.3).
            name if name.eq_ignore_ascii_case(coding)
                || coding == "gzip" && name.eq_ignore_ascii_case("x-gzip") =>
            {
                own = Some(weight);
            }
            _ => {}
        }
    }
    own.or(any).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::{Encoding::*, *};

    #[test]
    fn codings_are_ordered_by_the_clients_weights() {
        let cases: [(&[&'static str], &[Encoding]); 12] = [
            (&[], &[]),
            (&["gzip, deflate, br, zstd"], &[Brotli, Gzip]),
            (&["gzip", "br"], &[Brotli, Gzip]),
            (&["gzip;q=1.0, br;q=0.5"], &[Gzip, Brotli]),
            (&["br;q=0, gzip"], &[Gzip]),
            (&["*"], &[Brotli, Gzip]),
            (&["*;q=0"], &[]),
            (&["*;q=0, GZIP"], &[Gzip]),
            (&["br;q=0, *"], &[Gzip]),
            (&["x-gzip"], &[Gzip]),
            (&["identity"], &[]),
            (&["br;q=2, gzip;q=x"], &[]),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            assert_eq!(Encoding::accepted(&headers), expected, "{lines:?}");
        }
    }
}

//! Arguments of CONNECT packets, and event names in packets.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fields::Fields;
use crate::{Fault, Limits};

/// `auth` of a CONNECT packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// Credential of the client.
    pub token: Option<String>,
    /// Trace that the connection belongs to (W3C Trace Context, section 3.2).
    pub traceparent: Option<String>,
}

impl Connect {
    /// Parses the packet's data, if there is any.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn parse(auth: Option<&str>, limits: &Limits) -> Result<Self, Fault> {
        let raw = auth
            .filter(|auth| !auth.trim().is_empty())
            .map(serde_json::from_str::<&RawValue>)
            .transpose()
            .map_err(|_| Fault::field("auth", "is not JSON"))?;
        let raw = raw.filter(|raw| raw.get() != "null");
        let fields = Fields::parse("auth", raw, limits)?;
        Ok(Self {
            token: fields.text_or_null("token")?,
            traceparent: fields.text_or_null("traceparent")?,
        })
    }
}

/// Returns the event's name in a packet's array, `["name", …]`, if there is one.
#[must_use]
pub fn event_name(text: &str) -> Option<Cow<'_, str>> {
    let rest = text.strip_prefix("[\"");
    if let Some((name, _)) = rest.and_then(|rest| rest.split_once('"'))
        && !name.contains('\\')
    {
        return Some(Cow::Borrowed(name));
    }
    let rest = text.trim_start().strip_prefix('[')?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    values.next()?.ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_name_is_found_in_every_form() {
        for (text, name) in [
            (r#"["media",{}]"#, Some("media")),
            (r#"["media"]"#, Some("media")),
            (r#" [ "room:join" , 1]"#, Some("room:join")),
            (r#"["a\"b",1]"#, Some("a\"b")),
            (r#"["\u0061"]"#, Some("a")),
            (r#"[""]"#, Some("")),
            ("[1]", None),
            ("[]", None),
            ("{}", None),
            ("[\"a", None),
        ] {
            assert_eq!(event_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn auth_is_absent_or_an_object_with_an_optional_token() {
        let limits = Limits::default();
        let token = |token: &str| Connect {
            token: Some(token.to_owned()),
            traceparent: None,
        };
        for nothing in [
            None,
            Some(""),
            Some("null"),
            Some("{}"),
            Some(r#"{"a":1}"#),
            Some(r#"{"token":null,"traceparent":null}"#),
        ] {
            assert_eq!(Connect::parse(nothing, &limits), Ok(Connect::default()));
        }
        assert_eq!(
            Connect::parse(Some(r#"{"token":"abc"}"#), &limits),
            Ok(token("abc"))
        );
        for wrong in [
            "1",
            "[]",
            "\"a\"",
            r#"{"token":1}"#,
            r#"{"token":{}}"#,
            r#"{"traceparent":1}"#,
            "{",
        ] {
            let fault = Connect::parse(Some(wrong), &limits).expect_err(wrong);
            assert!(fault.to_string().starts_with("bad_request: "), "{fault}");
        }
    }
}

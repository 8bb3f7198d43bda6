//! Security headers of the pages that a node serves.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};

/// Content-Security-Policy (CSP level 3) of the web app.
///
/// - `connect-src` has no host: `?node=` in a page's address names the node to connect to.
/// - `blob:` in `script-src` is the SDK's audio worklet, in `media-src` its Media Source Extensions.
/// - `frame-ancestors` keeps other origins from framing a page that holds camera and microphone.
const APP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self' blob:; worker-src 'self' blob:; style-src 'self'; \
     img-src 'self' data: blob:; font-src 'self'; media-src 'self' blob: mediastream:; \
     connect-src 'self' http: https: ws: wss:; manifest-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'self'",
);

/// Content-Security-Policy of the landing page, which has an inline style and no script.
const LANDING: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'self'",
);

/// Permissions-Policy: allows what the app uses for its own origin, and denies the rest to all.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self), \
     autoplay=(self), fullscreen=(self), picture-in-picture=(self), screen-wake-lock=(self), \
     clipboard-write=(self), geolocation=(), midi=(), payment=(), usb=(), serial=(), hid=(), \
     browsing-topics=()",
);

/// Page that a response is, or belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// Web app.
    App,
    /// Page of a node that was built without the app.
    Landing,
}

/// Adds the security headers of a page to a response.
pub(super) fn apply(headers: &mut HeaderMap, page: Page) {
    let policy = match page {
        Page::App => APP,
        Page::Landing => LANDING,
    };
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    // A room's URL is an invitation, and may hold the encryption key.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("permissions-policy"), PERMISSIONS);
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

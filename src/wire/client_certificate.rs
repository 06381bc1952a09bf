//! The certificate that a caller has shown to the proxy in front of the issuer (RFC 9440).

use actix_web::{HttpRequest, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::flow::client_certificate::Presented;
use crate::types::network::TrustedProxies;
use crate::types::policy::MAX_PEM;

/// What stands in the proxy's header. From anybody but a trusted proxy nothing is believed (RFC 9440 §4), and a header that
/// repeats says nothing that could be.
#[must_use]
pub fn presented(request: &HttpRequest) -> Presented {
    let proxies = request.app_data::<web::Data<TrustedProxies>>();
    let peer = request.peer_addr().map(|peer| peer.ip());
    let (Some(proxies), Some(peer)) = (proxies, peer) else { return Presented::Nothing };
    if !proxies.contains(peer) {
        return Presented::Nothing;
    }
    let mut values = request.headers().get_all(proxies.certificate_header());
    match (values.next(), values.next()) {
        (None, _) => Presented::Nothing,
        (Some(value), None) => value.to_str().map_or(Presented::Unreadable, read),
        (Some(_), Some(_)) => Presented::Unreadable,
    }
}

fn read(text: &str) -> Presented {
    // How proxies spell that there was none.
    if text.is_empty() || text == "-" {
        return Presented::Nothing;
    }
    let der = if text.len() > MAX_PEM { None } else { der(text) };
    der.filter(|der| !der.is_empty()).map_or(Presented::Unreadable, Presented::Certificate)
}

/// A byte sequence (RFC 8941 §3.3.5), the same without its colons, or PEM in percent-encoding.
fn der(text: &str) -> Option<Vec<u8>> {
    if !text.starts_with("-----BEGIN") {
        let inner = text.strip_prefix(':').map_or(Some(text), |rest| rest.strip_suffix(':'))?;
        return STANDARD.decode(inner).ok();
    }
    let pem = percent_decode_str(text).decode_utf8().ok()?;
    let inner = pem.trim().strip_prefix("-----BEGIN CERTIFICATE-----")?;
    let inner: String = inner.strip_suffix("-----END CERTIFICATE-----")?.split_ascii_whitespace().collect();
    STANDARD.decode(inner).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_nothing_else() {
        let is = Presented::Certificate(vec![1, 2, 3, 4]);
        for good in [
            ":AQIDBA==:",
            "AQIDBA==",
            "-----BEGIN%20CERTIFICATE-----%0AAQID%0ABA%3D%3D%0A-----END%20CERTIFICATE-----%0A",
            "-----BEGIN CERTIFICATE-----%0AAQIDBA==%0A-----END CERTIFICATE-----",
        ] {
            assert_eq!(read(good), is, "{good}");
        }
        for nothing in ["", "-"] {
            assert_eq!(read(nothing), Presented::Nothing);
        }
        let long = format!(":{}:", "A".repeat(MAX_PEM));
        for bad in [
            ":",
            "::",
            ":AQIDBA==",
            "AQIDBA==:",
            ":AQIDBA==:;a=1",
            ":AQIDBA==:, :AQIDBA==:",
            ":AQIDBA:",
            "words",
            "-----BEGIN%20CERTIFICATE-----",
            "-----BEGIN%20CERTIFICATE-----%0A%FF%0A-----END%20CERTIFICATE-----",
            "-----BEGIN PRIVATE KEY-----%0AAQIDBA==%0A-----END PRIVATE KEY-----",
            "-----BEGIN CERTIFICATE-----AQIDBA==-----END CERTIFICATE----------BEGIN CERTIFICATE-----AQIDBA==-----END CERTIFICATE-----",
            &long,
        ] {
            assert_eq!(read(bad), Presented::Unreadable, "{bad}");
        }
    }
}

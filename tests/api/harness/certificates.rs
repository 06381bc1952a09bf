//! Certificates for tests, made by OpenSSL and not by what reads them.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};

/// 2020-01-01 and 2040-01-01: now lies between, by the clock of tests and by any other.
const SPAN: (i64, i64) = (1_577_836_800, 2_208_988_800);
/// 2020-01-01 and 2021-01-01.
pub const OVER: (i64, i64) = (1_577_836_800, 1_609_459_200);

/// A certificate and its key.
#[derive(Clone)]
pub struct Made {
    cert: X509,
    key: PKey<Private>,
}

impl Made {
    /// An authority.
    pub fn authority(name: &str) -> Self {
        make(name, None, &[], SPAN)
    }

    /// A certificate of a server, of these names and addresses.
    pub fn server(&self, names: &[&str]) -> Self {
        make("server", Some(self), names, SPAN)
    }

    /// A certificate of a client.
    pub fn client(&self, name: &str) -> Self {
        make(name, Some(self), &[], SPAN)
    }

    /// The same, of another time.
    pub fn client_within(&self, name: &str, span: (i64, i64)) -> Self {
        make(name, Some(self), &[], span)
    }

    pub fn pem(&self) -> String {
        String::from_utf8(self.cert.to_pem().unwrap()).unwrap()
    }

    pub fn der(&self) -> Vec<u8> {
        self.cert.to_der().unwrap()
    }

    pub fn key_pem(&self) -> String {
        String::from_utf8(self.key.private_key_to_pem_pkcs8().unwrap()).unwrap()
    }

    pub fn key_der(&self) -> Vec<u8> {
        self.key.private_key_to_pkcs8().unwrap()
    }

    /// SHA-256 of the DER form, in hex.
    pub fn sha256(&self) -> String {
        let digest = self.cert.digest(MessageDigest::sha256()).unwrap();
        postern::types::token::TokenDigest::from_slice(&digest).unwrap().hex()
    }
}

fn make(name: &str, by: Option<&Made>, names: &[&str], (from, to): (i64, i64)) -> Made {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, openssl::bn::MsbOption::ONE, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(by.map_or(&subject, |by| by.cert.subject_name())).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(from).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(to).unwrap()).unwrap();
    if by.is_none() {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    } else if names.is_empty() {
        builder.append_extension(ExtendedKeyUsage::new().client_auth().build().unwrap()).unwrap();
    } else {
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build().unwrap()).unwrap();
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            if name.parse::<std::net::IpAddr>().is_ok() {
                alternative.ip(name)
            } else {
                alternative.dns(name)
            };
        }
        let alternative = alternative.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(alternative).unwrap();
    }
    builder.sign(by.map_or(&key, |by| &by.key), MessageDigest::sha256()).unwrap();
    Made { cert: builder.build(), key }
}

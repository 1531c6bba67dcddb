//! Signatures of requests: AWS Signature Version 4, as S3 and all that speak its protocol want them. Pure.
//!
//! Our own, for `rusty-s3` brings a second HMAC, a library of time and Unicode tables, and leaves the body unsigned.
//! The examples of AWS' manual are its tests.

use ring::hmac;
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "s3";

/// Who asks.
pub struct Keys<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
    pub region: &'a str,
}

/// What is asked for.
pub struct Call<'a> {
    pub method: &'a str,
    /// Encoded, as it is sent.
    pub path: &'a str,
    /// Encoded and in order, as [`query`] makes it.
    pub query: &'a str,
    /// In small letters and in order; with `host`, `x-amz-date` and `x-amz-content-sha256`.
    pub headers: &'a [(&'a str, &'a str)],
    /// Hexadecimal SHA-256 of the body.
    pub body_sha256: &'a str,
    /// `20130524T000000Z`.
    pub stamp: &'a str,
}

/// The value of the header `Authorization`.
pub fn authorization(keys: &Keys, call: &Call) -> String {
    let Keys { access_key, secret_key, region } = *keys;
    let Call { method, path, query, headers, body_sha256, stamp } = *call;
    let day = stamp.split('T').next().unwrap_or_default();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let signed = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let request = format!("{method}\n{path}\n{query}\n{lines}\n{signed}\n{body_sha256}");
    let scope = format!("{day}/{region}/{SERVICE}/aws4_request");
    let text = format!("{ALGORITHM}\n{stamp}\n{scope}\n{}", sha256(request.as_bytes()));
    let first = format!("AWS4{secret_key}").into_bytes();
    let key = [day, region, SERVICE, "aws4_request"].iter().fold(first, |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &text));
    format!("{ALGORITHM} Credential={access_key}/{scope},SignedHeaders={signed},Signature={signature}")
}

/// A query in the order in which it is signed.
pub fn query(fields: &[(&str, &str)]) -> String {
    let mut fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    fields.sort();
    fields.join("&")
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything but letters, digits and four signs as `%XX`.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        access_key: "AKIAIOSFODNN7EXAMPLE",
        secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region: "us-east-1",
    };
    const STAMP: &str = "20130524T000000Z";
    const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");
    const DATE: (&str, &str) = ("x-amz-date", STAMP);

    /// "Signature Calculations for the Authorization Header", Amazon S3 API Reference.
    #[test]
    fn the_examples_of_the_manual_come_out() {
        let (empty, text) = (sha256(b""), sha256(b"Welcome to Amazon S3."));
        let (of_empty, of_text) = (("x-amz-content-sha256", &*empty), ("x-amz-content-sha256", &*text));
        let put = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            HOST,
            of_text,
            DATE,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let list = query(&[("prefix", "J"), ("max-keys", "2")]);
        for (method, path, query, headers, body_sha256, signature) in [
            (
                "GET",
                "/test.txt",
                "",
                [HOST, ("range", "bytes=0-9"), of_empty, DATE].as_slice(),
                &empty,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                "",
                put.as_slice(),
                &text,
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/",
                "lifecycle=",
                [HOST, of_empty, DATE].as_slice(),
                &empty,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/",
                &*list,
                [HOST, of_empty, DATE].as_slice(),
                &empty,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let call = Call { method, path, query, headers, body_sha256, stamp: STAMP };
            let answer = authorization(&KEYS, &call);
            assert!(answer.ends_with(&format!("Signature={signature}")), "{method} {path}?{query}: {answer}");
            let credential = "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,";
            assert!(answer.contains(credential), "{answer}");
        }
    }

    #[test]
    fn queries_are_in_order_and_encoded() {
        let made = query(&[("prefix", "a/b"), ("continuation-token", "1+/="), ("list-type", "2")]);
        assert_eq!(made, "continuation-token=1%2B%2F%3D&list-type=2&prefix=a%2Fb");
    }
}

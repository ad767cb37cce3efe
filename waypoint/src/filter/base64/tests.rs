//! Tests of base64 as gRPC-Web cuts it.

use super::*;

fn decode(chunks: &[&[u8]]) -> Result<(Vec<u8>, bool), NotBase64> {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.push(chunk, &mut out)?;
    }
    Ok((out, decoder.is_complete()))
}

fn encode(bytes: &[u8]) -> String {
    let mut encoder = Encoder::default();
    let mut out = Vec::new();
    encoder.push(bytes, &mut out);
    encoder.flush(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_examples_of_rfc_4648_hold() {
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(encode(bytes.as_bytes()), text);
        assert_eq!(
            decode(&[text.as_bytes()]),
            Ok((bytes.as_bytes().to_vec(), true))
        );
    }
}

#[test]
fn several_texts_are_one_stream() {
    assert_eq!(decode(&[b"Zg==Zm8=Zm9v"]), Ok((b"ffofoo".to_vec(), true)));
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let bytes: Vec<u8> = (0..=255).collect();
    let text = encode(&bytes);
    for cut in 1..9 {
        let chunks: Vec<_> = text.as_bytes().chunks(cut).collect();
        assert_eq!(decode(&chunks), Ok((bytes.clone(), true)), "{cut}");
        let mut encoder = Encoder::default();
        let mut out = Vec::new();
        for chunk in bytes.chunks(cut) {
            encoder.push(chunk, &mut out);
        }
        encoder.flush(&mut out);
        assert_eq!(out, text.as_bytes(), "{cut}");
    }
}

#[test]
fn what_is_not_base64_is_refused() {
    for text in ["Zg=a", "=", "Z=", "Zm9v!", "Zg==="] {
        assert_eq!(decode(&[text.as_bytes()]), Err(NotBase64), "{text}");
    }
    assert_eq!(decode(&[b"Zm9"]), Ok((vec![], false)));
}

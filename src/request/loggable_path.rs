//! Paths for the log, without what could be a credential.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::token::has_jwt_shape;

/// What stands in the place of a segment that could be a credential.
const REDACTED: &str = "{redacted}";

/// Shorter segments are not secrets: session ids and API tokens are longer.
const SECRET_CHARS_MIN: usize = 16;

/// The longest word of a language, and the longest number, that pass as plain.
const WORD_CHARS_MAX: usize = 20;
const NUMBER_DIGITS_MAX: usize = 12;

/// How long a word may be that mixes letters and digits (`256gb`), and how many of them a segment may have.
const MIXED_CHARS_MAX: usize = 6;
const MIXED_WORDS_MAX: usize = 2;

/// No secret is made of so few different characters.
const FEW_CHARS: usize = 3;

/// How long words are in the mean, at least.
const WORD_CHARS_MEAN_MIN: usize = 3;

/// How often a segment is decoded: some shops decode twice.
const DECODINGS_MAX: usize = 3;

/// A path without the segments that could be credentials: those that hold a JWT, and long ones that are not made of plain words and
/// numbers. An id such as a UUID counts as a credential, because many shops use it as one.
///
/// Every log line that prints a path prints this, or [`Shop::loggable_path`](super::Shop::loggable_path) where the shop is known.
pub fn loggable_path(path: &str) -> Cow<'_, str> {
    redact(path, is_secret)
}

/// The same, also without a token that the path is known to hold.
pub(super) fn without_token<'p>(path: &'p str, token: &str) -> Cow<'p, str> {
    let holds = |segment: &str| {
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        segment.contains(token) || decoded.contains(token)
    };
    if path.split('/').any(holds) {
        redact(path, |segment| holds(segment) || is_secret(segment))
    } else {
        Cow::Borrowed(REDACTED) // the token was found in another reading of the path
    }
}

/// How long a piece of a text is, at least, to be a secret: names of programs and versions are shorter.
const PIECE_CHARS_MIN: usize = 20;

/// A text that a client wrote, such as the name of its program, without the pieces that could be credentials.
pub fn loggable_text(text: &str) -> Cow<'_, str> {
    let is_of_piece = |c: char| c.is_alphanumeric() || "._-|%=+~".contains(c);
    let is_secret_piece = |piece: &str| {
        let is_long = piece.chars().count() >= PIECE_CHARS_MIN;
        is_long && is_secret(piece) || has_jwt_shape(piece)
    };
    if !text.split(|c| !is_of_piece(c)).any(is_secret_piece) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c: char| !is_of_piece(c)) {
        let word = piece.trim_end_matches(|c: char| !is_of_piece(c));
        let word_or_mark = if is_secret_piece(word) {
            REDACTED
        } else {
            word
        };
        out.push_str(word_or_mark);
        out.push_str(&piece[word.len()..]);
    }
    Cow::Owned(out)
}

/// A `Referer` for the log: without query, fragment and user, and without what could be a credential. `of_path` makes a path loggable.
pub(super) fn loggable_referer(
    text: &str,
    of_path: impl for<'p> Fn(&'p str) -> Cow<'p, str>,
) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = text.split_once("://") else {
        return loggable_text(&of_path(text)).into_owned();
    };
    let (authority, path) = match rest.find('/') {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (scheme, host) = (loggable_text(scheme), loggable_text(host));
    format!("{scheme}://{host}{}", of_path(path))
}

fn redact(path: &str, is_secret: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if !path.split('/').any(&is_secret) {
        return Cow::Borrowed(path);
    }
    let segments = path.split('/').map(|segment| {
        if is_secret(segment) {
            REDACTED
        } else {
            segment
        }
    });
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

/// Whether a segment could be a credential or hold one, as it stands or decoded.
fn is_secret(segment: &str) -> bool {
    let mut text = Cow::Borrowed(segment);
    for _ in 0..DECODINGS_MAX {
        if is_secret_text(&text) {
            return true;
        }
        if !text.contains('%') {
            return false;
        }
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        text = Cow::Owned(decoded);
    }
    is_secret_text(&text)
}

fn is_secret_text(text: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || "._-".contains(c);
    if text.split(|c: char| !is_letter(c)).any(has_jwt_shape) {
        return true;
    }
    let words = || text.split(|c: char| !c.is_alphanumeric());
    let mixed = words().filter(|word| is_mixed(word)).count();
    let is_plain = mixed <= MIXED_WORDS_MAX && words().all(is_plain_word) && !is_chopped(words());
    !is_plain && text.chars().count() >= SECRET_CHARS_MIN && is_varied(text)
}

/// Whether the words are shorter than those of any language, in both cases and with digits: pieces of a random text.
fn is_chopped<'w>(words: impl Iterator<Item = &'w str>) -> bool {
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let letters: usize = words.iter().map(|word| word.chars().count()).sum();
    let has = |kind: fn(char) -> bool| words.iter().any(|word| word.chars().any(kind));
    letters < WORD_CHARS_MEAN_MIN * words.len()
        && has(char::is_uppercase)
        && has(char::is_lowercase)
        && has(char::is_numeric)
}

/// Whether a text has more than a few different characters.
fn is_varied(text: &str) -> bool {
    let mut seen: Vec<char> = Vec::with_capacity(FEW_CHARS);
    text.chars().any(|c| {
        if seen.contains(&c) {
            return false;
        }
        seen.push(c);
        seen.len() > FEW_CHARS
    })
}

fn is_mixed(word: &str) -> bool {
    let has = |kind: fn(char) -> bool| word.chars().any(kind);
    has(char::is_numeric) && has(char::is_alphabetic)
}

/// A number, a word in one case or with a capital letter, or something short such as `v2`.
fn is_plain_word(word: &str) -> bool {
    let length = word.chars().count();
    if word.chars().all(char::is_numeric) {
        return length <= NUMBER_DIGITS_MAX;
    }
    if is_mixed(word) {
        return length <= MIXED_CHARS_MAX;
    }
    let capitals = word.chars().filter(|c| c.is_uppercase()).count();
    length <= WORD_CHARS_MAX && (capitals <= 1 || capitals == length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_segment_that_could_be_a_credential_is_left_out_attacks_c3() {
        for (path, logged) in [
            (
                "/oauth/tokens/eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiIxIn0.c2lnbmF0dXJl",
                "/oauth/tokens/{redacted}",
            ),
            ("/authentication/e30.e30.x", "/authentication/{redacted}"),
            ("/a/Bearer%20e30.e30.x/b", "/a/{redacted}/b"),
            (
                "/oauth/tokens/9f86d081884c7d659a2feaa0c55ad015",
                "/oauth/tokens/{redacted}",
            ),
            ("/t/123e4567-e89b-12d3-a456-426614174000", "/t/{redacted}"),
            ("/t/17%7CqWhdKjasHdkjAhsdKjahSdkjq", "/t/{redacted}"),
            ("/t/%2517%257CqWhdKjasHdkjAhsdKjah", "/t/{redacted}"),
            (
                "/cart;jsessionid=1A530637289A03B07199A44E8D531427",
                "/{redacted}",
            ),
            ("/t/ab12-cd34-ef56-gh78-ij90", "/t/{redacted}"),
            ("/t/kdjfhgkjdhfgkjshdfgkjhsdfkjg/x", "/t/{redacted}/x"),
            ("/t/1234567890123456", "/t/{redacted}"),
            (
                "/t/%61%62%63%31%32%33%34%35%64%65%66%67%36%37%38%39",
                "/t/{redacted}",
            ),
        ] {
            assert_eq!(loggable_path(path), logged);
        }
    }

    #[test]
    fn a_token_that_is_known_is_left_out_however_short_attacks_c3() {
        assert_eq!(without_token("/t/abc/x", "abc"), "/t/{redacted}/x");
        assert_eq!(without_token("/t/id-%61bc.x", "abc"), "/t/{redacted}");
        assert_eq!(without_token("/t/%2561bc", "abc"), REDACTED);
    }

    #[test]
    fn a_path_made_of_words_is_logged_as_it_is() {
        for path in [
            "/",
            "*",
            "/products/how-to-choose-the-best-running-shoes-2026",
            "/galaxy-s23-ultra-256gb.html",
            "/index.php/wp-json/cocart/v2/logout",
            "/api/trpc/auth.logout,cart.get",
            "/de/Warenkorb/Kasse",
            "/product/B07XJ8C8F5",
            "/2026/11/29/",
            "/catalog/category/view/id/1234567",
            "/stra%C3%9Fe/caf%C3%A9",
            "/assets/app.3f8a9bc1.js",
            "/0000000000000000",
        ] {
            assert_eq!(loggable_path(path), path);
        }
        let long = format!("/{}", "x".repeat(4000));
        assert_eq!(loggable_path(&long), long);
    }

    #[test]
    fn what_a_client_calls_itself_is_logged_as_it_is() {
        for text in [
            "",
            "curl/8.5.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "ShopApp/4.12.0 (iPhone15,2; iOS 18.1; de_DE)",
            "okhttp/4.12.0",
            "shop.example.com:8443",
            "[2001:db8::1]:443",
            "a-long-name-of-a-shop-2026.example.com",
        ] {
            assert_eq!(loggable_text(text), text);
        }
        for (text, logged) in [
            (
                "app/1.0 9f86d081884c7d659a2feaa0c55ad015",
                "app/1.0 {redacted}",
            ),
            (
                "app (17|qWhdKjasHdkjAhsdKjahSdkjq); x",
                "app ({redacted}); x",
            ),
            ("app/e30.e30.x", "app/{redacted}"),
        ] {
            assert_eq!(loggable_text(text), logged);
        }
    }

    #[test]
    fn a_referer_is_logged_without_what_could_be_a_credential() {
        for (text, logged) in [
            (
                "https://shop.example.com/cart?token=abc#x",
                "https://shop.example.com/cart",
            ),
            (
                "https://alice:secret@shop.example.com",
                "https://shop.example.com",
            ),
            (
                "https://x/reset/9f86d081884c7d659a2feaa0c55ad015",
                "https://x/reset/{redacted}",
            ),
            ("9f86d081884c7d659a2feaa0c55ad015", "{redacted}"),
            ("about:blank", "about:blank"),
        ] {
            assert_eq!(loggable_referer(text, loggable_path), logged);
        }
    }

    proptest! {
        #[test]
        fn no_random_token_is_ever_logged(token in "[A-Za-z0-9]{24,64}|[0-9a-f]{32}|[A-Za-z0-9_-]{43}") {
            // A token of one case and no digit could be a word; 24 letters of one kind are none.
            let path = format!("/oauth/tokens/{token}/x");
            prop_assert_eq!(loggable_path(&path), "/oauth/tokens/{redacted}/x");
            let text = format!("app/1 ({token}; x)");
            prop_assert_eq!(loggable_text(&text), "app/1 ({redacted}; x)");
            let referer = format!("https://{token}@x{path}?{token}");
            let logged = loggable_referer(&referer, loggable_path);
            prop_assert_eq!(logged, "https://x/oauth/tokens/{redacted}/x");
        }

        #[test]
        fn nothing_panics(path in ".{0,60}") {
            let _ = loggable_path(&path);
            let _ = loggable_text(&path);
            let _ = loggable_referer(&path, loggable_path);
        }
    }
}

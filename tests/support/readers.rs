//! What servers in the field take for the value of a parameter or cookie: small models, each with its source.
//!
//! A model answers with every pair of name and value that the server's program would be given.

use form_urlencoded::parse;
use percent_encoding::percent_decode_str;

/// Names and values as a program is given them.
pub type Pairs = Vec<(String, String)>;

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// As forms are decoded: `+` is a space.
fn form_decoded(text: &str) -> String {
    decoded(&text.replace('+', " "))
}

/// The values that a name has, without case where the server compares so.
pub fn values_of(pairs: &Pairs, name: &str) -> Vec<String> {
    let named = pairs
        .iter()
        .filter(|(given, _)| given.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.clone()).collect()
}

/// PHP 8, `php_register_variable_ex` in `main/php_variables.c`: spaces before a name go, a NUL ends it, `.`, ` ` and an
/// unpaired `[` become `_`, and `name[…]` is an array called `name`.
fn php_name(name: &str) -> Option<String> {
    let name = name.trim_start_matches(' ').split('\0').next()?;
    if name.is_empty() || name.starts_with('=') {
        return None;
    }
    let variable = |text: &str| text.replace([' ', '.'], "_");
    match name.split_once('[') {
        Some((base, index)) if index.contains(']') && !base.is_empty() => Some(variable(base)),
        Some(_) | None => Some(variable(name).replace('[', "_")),
    }
}

/// `$_GET` and `$_POST`: parted by `&` (`arg_separator.input`).
pub fn php_parameters(text: &str) -> Pairs {
    let pairs = parse(text.as_bytes());
    pairs
        .filter_map(|(name, value)| Some((php_name(&name)?, value.into_owned())))
        .collect()
}

/// `$_COOKIE`: parted by `;`, the value decoded as a form's is (`php_default_treat_data`).
pub fn php_cookies(line: &str) -> Pairs {
    let pairs = line.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(name, value)| Some((php_name(name.trim_start())?, form_decoded(value))))
        .collect()
}

/// Laravel's middleware `TrimStrings`: `\s`, zero-width spaces and NUL at both ends (`Str::trim`).
pub fn laravel_trimmed(pairs: Pairs) -> Pairs {
    let odd = |letter: char| {
        letter.is_whitespace() || matches!(letter, '\0' | '\u{feff}' | '\u{200b}' | '\u{200e}')
    };
    pairs
        .into_iter()
        .map(|(name, value)| (name, value.trim_matches(odd).to_owned()))
        .collect()
}

/// qs 6 of Express, `parseKeys` in lib/parse.js: `a[b]` nests under `a`, and `[a]` is `a` again.
pub fn qs_parameters(text: &str) -> Pairs {
    let pairs = parse(text.as_bytes());
    let named = |name: &str| {
        let inner = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        match (inner, name.split_once('[')) {
            (Some((inner, _)), _) => inner.to_owned(),
            (None, Some((base, index))) if index.contains(']') => base.to_owned(),
            (None, _) => name.to_owned(),
        }
    };
    pairs
        .map(|(name, value)| (named(&name), value.into_owned()))
        .collect()
}

/// npm `cookie` 0.6, `parse`: parted by `;`, both ends trimmed, the first byte and the last one taken off where the first
/// is a quote, decoded where that is possible.
pub fn npm_cookie(line: &str) -> Pairs {
    let pairs = line.split(';').filter_map(|pair| pair.split_once('='));
    let value = |text: &str| {
        let text = text.trim();
        let bare = match text.strip_prefix('"') {
            Some(rest) => rest
                .chars()
                .rev()
                .skip(1)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect(),
            None => text.to_owned(),
        };
        percent_decode_str(&bare)
            .decode_utf8()
            .map_or(bare.clone(), Into::into)
    };
    pairs
        .map(|(name, text)| (name.trim().to_owned(), value(text)))
        .collect()
}

/// npm `cookies` 0.9, `get`: the value as it stands, the first byte and the last one taken off where the first is a quote.
pub fn npm_cookies(line: &str) -> Pairs {
    let pairs = line.split(';').filter_map(|pair| pair.split_once('='));
    let value = |text: &str| {
        let mut letters = text.chars();
        if text.starts_with('"') {
            letters.next();
            letters.next_back();
        }
        letters.as_str().to_owned()
    };
    pairs
        .map(|(name, text)| (name.trim_start_matches(' ').to_owned(), value(text)))
        .collect()
}

/// `cookie-signature` 1.2, `unsign` behind express-session and cookie-parser: `s:` before, `.` and the signature behind. Who
/// attacks has a value that the shop has signed; another signature does not verify, so the text must be the one issued.
pub fn signed_value(text: &str) -> Option<String> {
    let rest = text.strip_prefix("s:")?;
    rest.rsplit_once('.').map(|(value, _)| value.to_owned())
}

/// Rack 2, `parse_nested_query`: parted by `&` and `;`, brackets around a name are taken off (`normalize_params`).
pub fn rack_parameters(text: &str) -> Pairs {
    let pieces = text.split(['&', ';']);
    let pairs = pieces.filter_map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = form_decoded(name.trim_start());
        let inner = name.trim_start_matches(['[', ']']);
        let inner = inner
            .split(['[', ']'])
            .next()
            .filter(|inner| !inner.is_empty())?;
        Some((inner.to_owned(), form_decoded(value)))
    });
    pairs.collect()
}

/// Rack 1 and early 2, `Request#cookies`: parted by `;` and `,`, names and values decoded as a form's are.
pub fn rack_cookies(line: &str) -> Pairs {
    let pairs = line
        .split([';', ','])
        .filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (form_decoded(name.trim_start()), form_decoded(value)))
        .collect()
}

/// Tomcat 8 `LegacyCookieProcessor` (RFC 2109): parted by `;` and `,`, a value ends at white space or a separator, quotes
/// go and `\` escapes in them.
pub fn servlet_cookies(line: &str) -> Pairs {
    let mut pairs = Pairs::new();
    let pieces = line
        .split([';', ','])
        .filter_map(|pair| pair.split_once('='));
    for (name, value) in pieces {
        let value = value.trim_start();
        let value = match value
            .strip_prefix('"')
            .and_then(|rest| rest.split_once('"'))
        {
            Some((quoted, _)) => quoted.replace('\\', ""),
            None => value
                .split([' ', '\t', '"'])
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        pairs.push((name.trim().to_owned(), value));
    }
    pairs
}

/// A session in the path, `;jsessionid=…` (Servlet 6 section 7.1.3).
pub fn servlet_path(path: &str) -> Pairs {
    let parameters = path
        .split('/')
        .flat_map(|segment| segment.split(';').skip(1));
    let pairs = parameters.filter_map(|one| one.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

/// ASP.NET, `HttpUtility.UrlDecode`: as a form, and `%uXXXX` too.
pub fn asp_parameters(text: &str) -> Pairs {
    let pairs = text.split('&').filter_map(|piece| piece.split_once('='));
    pairs
        .map(|(name, value)| (asp_decoded(name), asp_decoded(value)))
        .collect()
}

fn asp_decoded(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.replace('+', " ");
    while let Some(at) = rest.find("%u") {
        let code = rest
            .get(at + 2..at + 6)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(letter) = code.and_then(char::from_u32) else {
            break;
        };
        plain += &decoded(&rest[..at]);
        plain.push(letter);
        rest = rest[at + 6..].to_owned();
    }
    format!("{plain}{}", decoded(&rest))
}

/// ASP.NET's cookies are parted by `;`, and names compared without case; applications decode values.
pub fn asp_cookies(line: &str) -> Pairs {
    let pairs = line.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), asp_decoded(value.trim())))
        .collect()
}

/// Django, `parse_cookie`, and Python's `http.cookies` behind it: parted by `;`, octal codes and `\` undone in quotes.
pub fn django_cookies(line: &str) -> Pairs {
    let pairs = line.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), python_value(value.trim())))
        .collect()
}

/// Python's `http.cookies.SimpleCookie.load`: white space parts cookies, too.
pub fn python_cookies(line: &str) -> Pairs {
    let mut pairs = Pairs::new();
    let spaced = line.replace(';', " ; ").replace('=', " = ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    for three in words.windows(3) {
        if let [name, "=", value] = three {
            pairs.push(((*name).to_owned(), python_value(value)));
        }
    }
    pairs
}

/// What Python's `http.cookies` makes of a quoted value.
pub fn python_value(value: &str) -> String {
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(mut rest) = quoted else {
        return value.to_owned();
    };
    let mut plain = String::new();
    while let Some((before, escaped)) = rest.split_once('\\') {
        plain += before;
        let octal = escaped
            .get(..3)
            .filter(|digits| digits.starts_with(['0', '1', '2', '3']));
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.extend(octal.map(char::from).or_else(|| escaped.chars().next()));
        rest = escaped
            .get(if octal.is_some() { 3 } else { 1 }..)
            .unwrap_or_default();
    }
    plain + rest
}

/// `MySQL` with a usual collation (`utf8mb4_general_ci`, PAD SPACE): no case, no white space at the end.
pub fn mysql_key(text: &str) -> String {
    text.trim_end_matches(' ').to_lowercase()
}

/// A server's name, and what it reads.
pub type Reader = (&'static str, fn(&str) -> Pairs);

/// Every reader of a query or form.
pub const PARAMETERS: [Reader; 4] = [
    ("PHP", php_parameters),
    ("Express", qs_parameters),
    ("Rack", rack_parameters),
    ("ASP.NET", asp_parameters),
];

/// Every reader of a `Cookie` line.
pub const COOKIES: [Reader; 8] = [
    ("PHP", php_cookies),
    ("cookie 0.6", npm_cookie),
    ("cookies 0.9", npm_cookies),
    ("Rack", rack_cookies),
    ("Tomcat", servlet_cookies),
    ("ASP.NET", asp_cookies),
    ("Django", django_cookies),
    ("http.cookies", python_cookies),
];

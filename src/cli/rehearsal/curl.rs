//! A request from a `curl` command, as browsers copy it.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::sample_error::SampleError;
use super::shell_words::words;
use crate::server::SampleRequest;

/// Options that change nothing of the request, without a value and with one.
const SILENT: [&str; 24] = [
    "--compressed-ssh",
    "--insecure",
    "-k",
    "--location",
    "-L",
    "--silent",
    "-s",
    "--show-error",
    "-S",
    "--verbose",
    "-v",
    "--include",
    "-i",
    "--fail",
    "-f",
    "--http1.1",
    "--http2",
    "--http2-prior-knowledge",
    "--no-buffer",
    "-N",
    "--globoff",
    "-g",
    "--path-as-is",
    "--tcp-nodelay",
];
const SILENT_WITH_VALUE: [&str; 10] = [
    "--output",
    "-o",
    "--max-time",
    "-m",
    "--connect-timeout",
    "--retry",
    "--write-out",
    "-w",
    "--cacert",
    "--resolve",
];

/// What was read so far.
#[derive(Default)]
struct Curl {
    url: Option<String>,
    method: Option<String>,
    /// `None`: the header is not sent, though curl would add it.
    headers: Vec<(String, Option<String>)>,
    data: Vec<Vec<u8>>,
    content_type: Option<&'static str>,
    is_get: bool,
    is_head: bool,
}

/// The request that a `curl` command sends. What is not understood is named, for it could change the request.
pub(super) fn parse(line: &str) -> Result<SampleRequest, SampleError> {
    let mut words = words(line.trim().trim_start_matches("$ "))?.into_iter();
    match words.next().as_deref() {
        Some("curl" | "curl.exe") => {}
        Some(_) | None => {
            return Err(SampleError::new(
                "this is no curl command: expected a line that begins with `curl`",
            ));
        }
    }
    let mut curl = Curl::default();
    let mut are_options = true;
    while let Some(word) = words.next() {
        if word == "--" {
            are_options = false;
        } else if are_options && word.starts_with("--") {
            let (name, value) = split_long(&word);
            let mut next = || value.clone().or_else(|| words.next());
            curl.option(name, &mut next)?;
        } else if are_options && word.len() > 1 && word.starts_with('-') {
            curl.short_options(&word, &mut words)?;
        } else if curl.url.replace(word).is_some() {
            return Err(SampleError::new("the command has several URLs: give one"));
        }
    }
    curl.finish()
}

/// `--name=value`, which curl does not read, and other commands do.
fn split_long(word: &str) -> (&str, Option<String>) {
    match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    }
}

impl Curl {
    /// `-sSL`, `-XPOST`, `-H …`: the last of them may have its value in the same word.
    fn short_options(
        &mut self,
        word: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), SampleError> {
        let letters = word.trim_start_matches('-');
        for (at, letter) in letters.char_indices() {
            let name = format!("-{letter}");
            let rest = &letters[at + letter.len_utf8()..];
            let mut is_taken = false;
            let mut next = || {
                is_taken = true;
                let rest = (!rest.is_empty()).then(|| rest.to_owned());
                rest.or_else(|| words.next())
            };
            self.option(&name, &mut next)?;
            if is_taken {
                break;
            }
        }
        Ok(())
    }

    fn option(
        &mut self,
        name: &str,
        next: &mut dyn FnMut() -> Option<String>,
    ) -> Result<(), SampleError> {
        let mut value = || {
            let missing = || SampleError::new(format!("`{name}` has no value"));
            next().ok_or_else(missing)
        };
        match name {
            "-X" | "--request" => self.method = Some(value()?),
            "-H" | "--header" => self.add_header(&value()?)?,
            "-d" | "--data" | "--data-ascii" => {
                let data = read_data(&value()?, true)?;
                self.data.push(data);
            }
            "--data-binary" => {
                let data = read_data(&value()?, false)?;
                self.data.push(data);
            }
            "--data-raw" => self.data.push(value()?.into_bytes()),
            "--data-urlencode" => self.data.push(urlencoded(&value()?)?),
            "--json" => {
                let data = read_data(&value()?, false)?;
                self.data.push(data);
                self.content_type = Some("application/json");
                self.headers
                    .push(("Accept".to_owned(), Some("application/json".to_owned())));
            }
            "-b" | "--cookie" => {
                let cookies = value()?;
                if !cookies.contains('=') {
                    return Err(SampleError::new(
                        "`--cookie` names a file, which is not read: write the cookies as NAME=VALUE",
                    ));
                }
                self.headers.push(("Cookie".to_owned(), Some(cookies)));
            }
            "-A" | "--user-agent" => self.headers.push(("User-Agent".to_owned(), Some(value()?))),
            "-e" | "--referer" => self.headers.push(("Referer".to_owned(), Some(value()?))),
            "-u" | "--user" => {
                let basic = format!("Basic {}", STANDARD.encode(value()?));
                self.headers.push(("Authorization".to_owned(), Some(basic)));
            }
            "--oauth2-bearer" => {
                let bearer = format!("Bearer {}", value()?);
                self.headers
                    .push(("Authorization".to_owned(), Some(bearer)));
            }
            "--compressed" => {
                let codings = "deflate, gzip, br, zstd".to_owned();
                self.headers
                    .push(("Accept-Encoding".to_owned(), Some(codings)));
            }
            "--url" => {
                if self.url.replace(value()?).is_some() {
                    return Err(SampleError::new("the command has several URLs: give one"));
                }
            }
            "-G" | "--get" => self.is_get = true,
            "-I" | "--head" => self.is_head = true,
            _ if SILENT.contains(&name) => {}
            _ if SILENT_WITH_VALUE.contains(&name) => drop(value()?),
            _ => {
                return Err(SampleError::new(format!(
                    "`{}` of curl is not understood here: leave it out, if it changes nothing of the request",
                    name.escape_debug()
                )));
            }
        }
        Ok(())
    }

    /// `Name: value`; `Name:` takes one away that curl would add, `Name;` is empty.
    fn add_header(&mut self, line: &str) -> Result<(), SampleError> {
        if line.starts_with('@') {
            return Err(SampleError::new(
                "`--header @FILE` is not read: write the headers",
            ));
        }
        if line.starts_with(':') {
            return Ok(()); // of HTTP/2, as some browsers list them: the URL says the same
        }
        let (name, value) = match (line.split_once(':'), line.strip_suffix(';')) {
            (Some((name, value)), _) => {
                let value = value.trim();
                (name, (!value.is_empty()).then(|| value.to_owned()))
            }
            (None, Some(name)) => (name, Some(String::new())),
            (None, None) => {
                return Err(SampleError::new(
                    "a header has no colon: expected `Name: value`",
                ));
            }
        };
        self.headers.push((name.trim().to_owned(), value));
        Ok(())
    }

    fn finish(mut self) -> Result<SampleRequest, SampleError> {
        let url = self.url.take();
        let mut url = url.ok_or_else(|| SampleError::new("the command has no URL"))?;
        let has_data = !self.data.is_empty();
        let data = self.data.join(&b"&"[..]);
        if has_data && self.is_get {
            let query = String::from_utf8_lossy(&data);
            let mark = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{mark}{query}");
        }
        let mut sample = SampleRequest::get(&url)?;
        let is_sent = has_data && !self.is_get;
        if let Some(user) = user_of(&url) {
            self.add_default("Authorization", &format!("Basic {}", STANDARD.encode(user)));
        }
        self.add_default("User-Agent", "curl");
        self.add_default("Accept", "*/*");
        if is_sent {
            let usual = self
                .content_type
                .unwrap_or("application/x-www-form-urlencoded");
            self.add_default("Content-Type", usual);
            sample.body = data;
        }
        sample.method = match self.method {
            Some(method) => method,
            None if self.is_head => "HEAD".to_owned(),
            None if is_sent => "POST".to_owned(),
            None => "GET".to_owned(),
        };
        let lines = self.headers.into_iter();
        let lines = lines.filter_map(|(name, value)| Some((name, value?.into_bytes())));
        sample.headers = lines.filter(|(name, _)| !is_computed(name)).collect();
        Ok(sample)
    }

    /// A header that curl adds, unless the command says something of it.
    fn add_default(&mut self, name: &str, value: &str) {
        let mut headers = self.headers.iter();
        if !headers.any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            self.headers.push((name.to_owned(), Some(value.to_owned())));
        }
    }
}

/// Whether the length of the body says it: a copied one may be of a body that was shortened.
fn is_computed(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length")
}

/// What stands before `@` in the host of a URL.
fn user_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@')?.0)
}

/// The data, or what stands in the file that it names. `is_text`: without line ends, as `--data` sends a file.
fn read_data(value: &str, is_text: bool) -> Result<Vec<u8>, SampleError> {
    let Some(file) = value.strip_prefix('@') else {
        return Ok(value.as_bytes().to_vec());
    };
    let failed = |error| SampleError::new(format!("{file} can't be read: {error}"));
    let mut bytes = fs::read(file).map_err(failed)?;
    if is_text {
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    }
    Ok(bytes)
}

/// `content`, `=content` or `name=content`, of which the content is encoded.
fn urlencoded(value: &str) -> Result<Vec<u8>, SampleError> {
    if value.contains('@') && !value.contains('=') {
        return Err(SampleError::new(
            "`--data-urlencode NAME@FILE` is not read: write the content",
        ));
    }
    let (name, content) = value.split_once('=').unwrap_or(("", value));
    let content: String = form_urlencoded::byte_serialize(content.as_bytes()).collect();
    let name = if name.is_empty() {
        String::new()
    } else {
        format!("{name}=")
    };
    Ok(format!("{name}{content}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'s>(sample: &'s SampleRequest, name: &'s str) -> Vec<&'s str> {
        let lines = sample.header(name);
        lines
            .map(|value| std::str::from_utf8(value).unwrap())
            .collect()
    }

    #[test]
    fn a_line_of_a_browser_is_the_request_that_it_sends() {
        let line = "curl 'https://shop.example.com/api/me?a=b#top' \\\n  -H 'accept: application/json' \\\n  \
            -H 'authorization: Bearer abc' -b 'a=1; b=2' \\\n  --data-raw $'{\"x\":\"it\\'s\"}' --compressed";
        let sample = parse(line).unwrap();
        assert_eq!(sample.method, "POST");
        assert_eq!(sample.target, "/api/me?a=b");
        assert_eq!(sample.host.as_deref(), Some("shop.example.com"));
        assert!(sample.is_encrypted);
        assert_eq!(sample.body, br#"{"x":"it's"}"#);
        assert_eq!(header(&sample, "Authorization"), ["Bearer abc"]);
        assert_eq!(header(&sample, "cookie"), ["a=1; b=2"]);
        assert_eq!(header(&sample, "accept"), ["application/json"]);
        assert_eq!(header(&sample, "user-agent"), ["curl"]);
    }

    #[test]
    fn options_are_read_as_curl_reads_them() {
        let sample = parse("curl -sXDELETE -H 'Accept:' -H 'X-Empty;' -u a:b http://x/y").unwrap();
        assert_eq!(sample.method, "DELETE");
        assert_eq!(header(&sample, "accept"), Vec::<&str>::new());
        assert_eq!(header(&sample, "x-empty"), [""]);
        assert_eq!(header(&sample, "authorization"), ["Basic YTpi"]);
        let sample = parse("curl -G -d a=1 --data-urlencode 'q=x y' 'x.example/s?z=0'").unwrap();
        assert_eq!((sample.method.as_str(), sample.body.len()), ("GET", 0));
        assert_eq!(sample.target, "/s?z=0&a=1&q=x+y");
        let sample = parse("curl --json '{}' http://me:pw@x/ -I").unwrap();
        assert_eq!(header(&sample, "content-type"), ["application/json"]);
        assert_eq!(header(&sample, "authorization"), ["Basic bWU6cHc="]);
        assert_eq!(sample.host.as_deref(), Some("x"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("curl --proxy http://p http://x/", "--proxy"),
            ("curl -F a=b http://x/", "-F"),
            ("curl -b jar.txt http://x/", "file"),
            ("curl http://x/ http://y/", "several"),
            ("wget http://x/", "curl"),
            ("curl -H 'a' http://x/", "colon"),
            ("curl", "URL"),
            ("curl http://x/ -H", "-H"),
        ] {
            let why = parse(line).unwrap_err().to_string();
            assert!(why.contains(named), "{line}: {why}");
        }
    }
}

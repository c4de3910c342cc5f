//! Requests of a HAR file (HTTP Archive 1.2), read entry by entry: a file of any length takes the memory of one entry.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::sample_error::SampleError;
use crate::server::SampleRequest;

/// One exchange of a HAR file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HarEntry {
    request: HarRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<HarPair>,
    #[serde(default)]
    cookies: Vec<HarPair>,
    post_data: Option<HarPost>,
}

#[derive(Deserialize)]
struct HarPair {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarPost {
    #[serde(default)]
    mime_type: String,
    text: Option<String>,
    #[serde(default)]
    params: Vec<HarPair>,
}

impl HarEntry {
    /// The request that was sent. HTTP/2 is judged as HTTP/1.1: its pseudo-headers say what the URL says.
    pub(super) fn into_sample(self) -> Result<SampleRequest, SampleError> {
        let request = self.request;
        let mut sample = SampleRequest::get(&request.url)?;
        sample.method = request.method;
        let is_kept = |pair: &HarPair| {
            let framing = ["content-length", "transfer-encoding"];
            let is_framing = framing
                .iter()
                .any(|name| pair.name.eq_ignore_ascii_case(name));
            !(pair.name.starts_with(':') || is_framing)
        };
        let headers = request.headers.into_iter().filter(is_kept);
        sample.headers = headers
            .map(|pair| (pair.name, pair.value.into_bytes()))
            .collect();
        if sample.header("cookie").next().is_none() && !request.cookies.is_empty() {
            let pairs = request.cookies.iter();
            let pairs: Vec<_> = pairs
                .map(|one| format!("{}={}", one.name, one.value))
                .collect();
            sample
                .headers
                .push(("Cookie".to_owned(), pairs.join("; ").into_bytes()));
        }
        if let Some(post) = request.post_data {
            if sample.header("content-type").next().is_none() && !post.mime_type.is_empty() {
                let kind = (
                    "Content-Type".to_owned(),
                    post.mime_type.clone().into_bytes(),
                );
                sample.headers.push(kind);
            }
            sample.body = post.into_body();
        }
        Ok(sample)
    }
}

impl HarPost {
    fn into_body(self) -> Vec<u8> {
        match self.text {
            Some(text) if !text.is_empty() || self.params.is_empty() => text.into_bytes(),
            Some(_) | None => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for pair in &self.params {
                    form.append_pair(&pair.name, &pair.value);
                }
                form.finish().into_bytes()
            }
        }
    }
}

/// Calls this with each entry of a file, in their order, until it says `false`. An entry that is none comes as an error.
pub(super) fn read_entries(
    file: impl Read,
    mut each: impl FnMut(HarEntry) -> bool,
) -> Result<(), SampleError> {
    let mut deserializer = serde_json::Deserializer::from_reader(BufReader::new(file));
    let mut is_stopped = false;
    let mut sink = |entry| {
        let goes_on = each(entry);
        is_stopped |= !goes_on;
        goes_on
    };
    let seed = HarMember {
        name: "log",
        then: HarMember {
            name: "entries",
            then: EntryList(&mut sink),
        },
    };
    match seed.deserialize(&mut deserializer) {
        Ok(true) => Ok(()),
        Err(_) if is_stopped => Ok(()),
        Ok(false) => Err(SampleError::new(
            "this is no HAR file: it has no `log.entries`",
        )),
        Err(error) => Err(SampleError::new(format!("this is no HAR file: {error}"))),
    }
}

/// One entry of a file, counted from 1.
pub(super) fn entry_of(path: &Path, number: usize) -> Result<HarEntry, SampleError> {
    let failed = |error| SampleError::new(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let (mut count, mut found) = (0, None);
    read_entries(file, |entry| {
        count += 1;
        if count == number {
            found = Some(entry);
        }
        found.is_none()
    })
    .map_err(|why| SampleError::new(format!("{}: {why}", path.display())))?;
    let missing = || {
        let path = path.display();
        SampleError::new(format!(
            "{path} has {count} entries, and none with the number {number}"
        ))
    };
    found.ok_or_else(missing)
}

/// The value under this name of an object; whether it was there.
struct HarMember<T> {
    name: &'static str,
    then: T,
}

/// Every item of the array.
struct EntryList<'f>(&'f mut dyn FnMut(HarEntry) -> bool);

impl<'de, T: DeserializeSeed<'de, Value = bool>> DeserializeSeed<'de> for HarMember<T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: DeserializeSeed<'de, Value = bool>> Visitor<'de> for HarMember<T> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{}`", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut then = Some(self.then);
        let mut is_found = false;
        while let Some(key) = map.next_key::<String>()? {
            match then.take_if(|_| key == self.name) {
                Some(seed) => is_found = map.next_value_seed(seed)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(is_found)
    }
}

impl<'de> DeserializeSeed<'de> for EntryList<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntryList<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<bool, A::Error> {
        while let Some(entry) = entries.next_element()? {
            if !(self.0)(entry) {
                return Err(serde::de::Error::custom("the rest is not read"));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"log":{"version":"1.2","entries":[
        {"startedDateTime":"x","request":{"method":"GET","url":"https://a.example/x?y=1","headers":[
            {"name":":authority","value":"a.example"},{"name":"cookie","value":"t=1"}]}},
        {"request":{"method":"POST","url":"http://b.example/f","headers":[{"name":"Content-Length","value":"9"}],
            "cookies":[{"name":"a","value":"1"}],
            "postData":{"mimeType":"application/x-www-form-urlencoded","params":[{"name":"n","value":"v w"}]}}}
    ]}}"#;

    #[test]
    fn entries_are_the_requests_that_were_sent() {
        let mut samples = Vec::new();
        read_entries(FILE.as_bytes(), |entry| {
            samples.push(entry.into_sample().unwrap());
            true
        })
        .unwrap();
        assert_eq!(samples[0].target, "/x?y=1");
        assert_eq!(samples[0].headers, [("cookie".to_owned(), b"t=1".to_vec())]);
        assert_eq!(samples[1].body, b"n=v+w");
        assert_eq!(samples[1].header("cookie").next(), Some(&b"a=1"[..]));
        assert_eq!(samples[1].header("content-length").count(), 0);
        for other in ["{}", "[]", "{\"log\":{}}", "{\"log\":{\"entries\":[{}]}}"] {
            assert!(read_entries(other.as_bytes(), |_| true).is_err(), "{other}");
        }
    }
}

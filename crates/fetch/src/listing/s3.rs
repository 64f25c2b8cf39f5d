//! Object stores that list their objects to everybody: ListObjectsV2 of the S3 API, in pages of
//! XML, and a checksum of each object where its ETag is one.
//!
//! An ETag of 32 hexadecimal digits is the MD5 of the object, unless it is encrypted with a key of
//! its owner, which cannot be read anonymously; that of an upload in parts holds a `-`.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::Event;
use url::Url;

use super::{LIST_BYTES, Listing, Offered};
use crate::digest::Digest;
use crate::http::Client;
use crate::path::encode;
use crate::retry::Failure;

/// Pages that are asked for; each has a thousand objects.
const PAGES: usize = 2000;

/// Everything below `prefix`.
pub(super) fn list(client: &Client, bucket: &Url, prefix: &str) -> Result<Listing, Failure> {
    let mut listing = Listing::default();
    let mut token: Option<String> = None;
    for _ in 0..PAGES {
        let mut url = bucket.clone();
        // The store takes the path without a slash at its end too; keep what was configured.
        url.set_path(bucket.path().trim_end_matches('/'));
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("list-type", "2")
                .append_pair("prefix", prefix);
            if let Some(token) = &token {
                query.append_pair("continuation-token", token);
            }
        }
        let text = client.text(&url, LIST_BYTES)?;
        let page = page(&text).map_err(Failure::Lasting)?;
        for object in page.objects {
            let Some(path) = object.key.strip_prefix(prefix) else {
                continue;
            };
            // Consoles make empty objects that stand for folders.
            if path.is_empty() || (path.ends_with('/') && object.size == 0) {
                continue;
            }
            listing.files.push(Offered {
                path: Some(path.to_owned()),
                url: self::object(bucket, &object.key),
                size: Some(object.size),
                digest: object.md5,
                problem: None,
            });
        }
        match page.next {
            None => return Ok(listing),
            next if next == token => {
                return Err(Failure::Lasting("the list never ends".into()));
            }
            next => token = next,
        }
    }
    Err(Failure::Lasting(format!("more than {PAGES} pages")))
}

/// The address of an object.
pub(super) fn object(bucket: &Url, key: &str) -> Url {
    let mut url = bucket.clone();
    let path = format!("{}/{}", bucket.path().trim_end_matches('/'), encode(key));
    url.set_path(&path);
    url
}

/// Takes the published checksums; what they name and the list lacks is wanted all the same, so that
/// a list with a hole is noticed.
pub(super) fn add_sums(
    listing: &mut Listing,
    sums: &[(String, Digest)],
    bucket: &Url,
    prefix: &str,
) {
    let at: HashMap<String, usize> = listing
        .files
        .iter()
        .enumerate()
        .filter_map(|(i, f)| Some((f.path.clone()?, i)))
        .collect();
    for (path, digest) in sums {
        match at.get(path) {
            Some(&i) => listing.files[i].digest = Some(*digest),
            None => listing.files.push(Offered {
                path: Some(path.clone()),
                url: object(bucket, &format!("{prefix}{path}")),
                size: None,
                digest: Some(*digest),
                problem: None,
            }),
        }
    }
}

struct Object {
    key: String,
    size: u64,
    md5: Option<Digest>,
}

struct Page {
    objects: Vec<Object>,
    next: Option<String>,
}

/// One page of a list.
fn page(text: &str) -> Result<Page, String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut value = String::new();
    let mut fields: HashMap<String, String> = HashMap::new();
    let mut found = Page {
        objects: Vec::new(),
        next: None,
    };
    let mut truncated = false;
    let mut is_list = false;
    loop {
        let event = reader
            .read_event()
            .map_err(|e| format!("the list is no XML: {e}"))?;
        match event {
            Event::Start(tag) => {
                path.push(tag.local_name().as_ref().to_owned());
                is_list |= path.len() == 1 && path[0] == "ListBucketResult";
                value.clear();
            }
            Event::Text(t) => value.push_str(&t),
            Event::CData(t) => value.push_str(&t),
            Event::GeneralRef(r) => {
                let c = match r.resolve_char_ref().map_err(|e| e.to_string())? {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&r)
                        .ok_or_else(|| format!("the list holds an unknown entity `&{};`", &*r))?
                        .to_owned(),
                };
                value.push_str(&c);
            }
            Event::End(_) => {
                let name = path.pop().unwrap_or_default();
                let parent = path.last().map(String::as_str);
                match (parent, name.as_str()) {
                    (Some("Contents"), _) => {
                        fields.insert(name, std::mem::take(&mut value));
                    }
                    (Some("ListBucketResult"), "Contents") => {
                        found.objects.push(object_of(&mut fields)?);
                    }
                    (Some("ListBucketResult"), "IsTruncated") => truncated = value.trim() == "true",
                    (Some("ListBucketResult"), "NextContinuationToken") => {
                        found.next = Some(std::mem::take(&mut value));
                    }
                    _ => {}
                }
                value.clear();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if !is_list || !path.is_empty() {
        return Err("the answer is no whole list of a bucket".into());
    }
    match (truncated, &found.next) {
        (true, None) => Err("the list goes on and does not say where".into()),
        (false, Some(_)) => {
            found.next = None;
            Ok(found)
        }
        _ => Ok(found),
    }
}

fn object_of(fields: &mut HashMap<String, String>) -> Result<Object, String> {
    let key = fields.remove("Key").ok_or("an object has no key")?;
    let size = fields.remove("Size").unwrap_or_default();
    let size = size
        .trim()
        .parse()
        .map_err(|_| format!("the object `{key}` has the size `{size}`"))?;
    let etag = fields.remove("ETag").unwrap_or_default();
    let md5 =
        Digest::from_hex(etag.trim().trim_matches('"')).filter(|d| matches!(d, Digest::Md5(_)));
    fields.clear();
    Ok(Object { key, size, md5 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
<Prefix>d/</Prefix><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated>
<NextContinuationToken>1/a+b=</NextContinuationToken>
<Contents><Key>d/a&amp;b &#xe9;.edf</Key><Size>12</Size>
<ETag>&quot;1d1184d4a026fba9d79d16b9a26cd3bb&quot;</ETag><Owner><ID>x</ID></Owner></Contents>
<Contents><Key>d/big.edf</Key><Size>99999999999</Size><ETag>"1d1184-12"</ETag></Contents>
</ListBucketResult>"#;

    #[test]
    fn a_page_is_read() {
        let page = page(PAGE).unwrap();
        assert_eq!(page.next.as_deref(), Some("1/a+b="));
        assert_eq!(page.objects.len(), 2);
        assert_eq!(page.objects[0].key, "d/a&b é.edf");
        assert_eq!(page.objects[0].size, 12);
        assert!(page.objects[0].md5.is_some());
        assert_eq!(page.objects[1].size, 99_999_999_999);
        assert_eq!(page.objects[1].md5, None);
    }

    #[test]
    fn what_is_no_list_is_said() {
        for bad in [
            "",
            "<html><body>x</body></html>",
            "<Error><Code>AccessDenied</Code></Error>",
            "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "<ListBucketResult><Contents><Key>a",
            &PAGE[..PAGE.len() - 40],
        ] {
            assert!(page(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_keeps_the_bucket_and_hides_odd_letters() {
        let bucket = Url::parse("https://s3.amazonaws.com/openneuro.org/").unwrap();
        assert_eq!(
            object(&bucket, "ds1/a+b #1.edf").as_str(),
            "https://s3.amazonaws.com/openneuro.org/ds1/a%2Bb%20%231.edf"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<[/A-Za-z&;#x0-9]{0,12}>?|[a-z&;]{0,4}){0,20}") {
            let _ = page(&text);
        }
    }
}

//! Repositories that list the files of a record as JSON: Zenodo, figshare, NEMAR.

use serde::Deserialize;
use url::Url;

use super::{Listing, Offered};
use crate::digest::{AnnexKey, Digest};
use crate::http::parse;

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| format!("the answer is not the JSON of a record: {e}"))
}

fn some(files: Vec<Offered>) -> Result<Listing, String> {
    if files.is_empty() {
        return Err("the record lists no files: is it restricted?".into());
    }
    Ok(Listing {
        files,
        notes: Vec::new(),
    })
}

/// `GET /api/records/N` of Zenodo.
pub(super) fn zenodo(text: &str) -> Result<Listing, String> {
    #[derive(Deserialize)]
    struct Record {
        #[serde(default)]
        files: Vec<File>,
        #[serde(default)]
        metadata: serde_json::Value,
    }
    #[derive(Deserialize)]
    struct File {
        key: String,
        size: u64,
        #[serde(default)]
        checksum: String,
        links: Links,
    }
    #[derive(Deserialize)]
    struct Links {
        #[serde(rename = "self")]
        this: Option<String>,
        content: Option<String>,
        download: Option<String>,
    }
    let record: Record = json(text)?;
    let offered = |f: File| {
        let links = f.links;
        let url = links.content.or(links.download).or(links.this);
        let url = url.ok_or_else(|| format!("`{}` has no address", f.key))?;
        Ok(Offered {
            path: Some(f.key),
            url: parse(&url).map_err(|e| e.to_string())?,
            size: Some(f.size),
            digest: Digest::from_tagged(&f.checksum),
            problem: None,
        })
    };
    let files = record.files.into_iter().map(offered);
    let mut listing = some(files.collect::<Result<_, String>>()?)?;
    if let Some(licence) = record.metadata["license"]["id"].as_str() {
        let note = format!("the record's licence is {}", licence.escape_debug());
        listing.notes.push(note);
    }
    Ok(listing)
}

/// `GET /v2/articles/N/files` of figshare.
pub(super) fn figshare(text: &str) -> Result<Listing, String> {
    #[derive(Deserialize)]
    struct File {
        name: String,
        size: u64,
        #[serde(default)]
        is_link_only: bool,
        download_url: String,
        #[serde(default)]
        computed_md5: String,
        #[serde(default)]
        supplied_md5: String,
    }
    let files: Vec<File> = json(text)?;
    let offered = |f: File| {
        let md5 = Digest::from_hex(&f.computed_md5).or_else(|| Digest::from_hex(&f.supplied_md5));
        Ok(Offered {
            url: parse(&f.download_url).map_err(|e| e.to_string())?,
            problem: f
                .is_link_only
                .then(|| format!("it is kept elsewhere: {}", f.download_url)),
            path: Some(f.name),
            size: Some(f.size),
            digest: md5,
        })
    };
    some(
        files
            .into_iter()
            .map(offered)
            .collect::<Result<_, String>>()?,
    )
}

/// `GET /ID/VERSION/manifest.json` of NEMAR, whose address is `at`.
pub(super) fn nemar(text: &str, at: &Url) -> Result<Listing, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Manifest {
        Files { files: Vec<File> },
        List(Vec<File>),
    }
    #[derive(Deserialize)]
    struct File {
        path: String,
        url: Option<String>,
        size: Option<u64>,
        sha256: Option<String>,
        md5: Option<String>,
    }
    let (Manifest::Files { files } | Manifest::List(files)) = json(text)?;
    let offered = |f: File| {
        let url = match &f.url {
            Some(url) => at.join(url),
            None => at.join(&crate::path::encode(&f.path)),
        };
        let mut url = url.map_err(|e| format!("`{}` has no address: {e}", f.path))?;
        parse(url.as_str()).map_err(|e| e.to_string())?;
        // Objects are readable by everybody; a signature in the address would run out in an hour.
        let is_object = url.path().contains("/objects/");
        if is_object {
            url.set_query(None);
        }
        let key = url.path_segments().and_then(|mut s| s.next_back());
        let key = key.filter(|_| is_object).and_then(AnnexKey::parse);
        let hex = |h: Option<String>| Digest::from_hex(h.as_deref()?.trim_matches('"'));
        Ok(Offered {
            digest: hex(f.sha256).or(hex(f.md5)).or(key.map(|k| k.digest)),
            size: f.size.or(key.and_then(|k| k.size)),
            path: Some(f.path),
            url,
            problem: None,
        })
    };
    some(
        files
            .into_iter()
            .map(offered)
            .collect::<Result<_, String>>()?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zenodo_is_read() {
        let listing = zenodo(
            r#"{"id": 1, "metadata": {"license": {"id": "cc-by-4.0"}},
            "files": [{"id": "u", "key": "S1.mat", "size": 5,
            "checksum": "md5:1d1184d4a026fba9d79d16b9a26cd3bb",
            "links": {"self": "https://zenodo.org/api/records/1/files/S1.mat/content"}}]}"#,
        )
        .unwrap();
        let f = &listing.files[0];
        assert_eq!((f.path.as_deref(), f.size), (Some("S1.mat"), Some(5)));
        assert_eq!(f.digest.unwrap().name(), "md5");
        assert!(f.url.as_str().ends_with("/content"));
        assert_eq!(listing.notes, ["the record's licence is cc-by-4.0"]);
        for bad in [
            "",
            "<html>",
            "{}",
            r#"{"files": [{"key": "a"}]}"#,
            r#"{"files": [{"key": "a", "size": 1, "links": {"self": "file:///etc/passwd"}}]}"#,
        ] {
            assert!(zenodo(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn figshare_is_read() {
        let listing = figshare(
            r#"[{"id": 1, "name": "s01.zip", "size": 7, "is_link_only": false,
            "download_url": "https://ndownloader.figshare.com/files/1", "supplied_md5": "",
            "computed_md5": "1d1184d4a026fba9d79d16b9a26cd3bb", "mimetype": "application/zip"},
            {"id": 2, "name": "far", "size": 0, "is_link_only": true,
            "download_url": "https://example.org/x", "supplied_md5": "", "computed_md5": ""}]"#,
        )
        .unwrap();
        assert!(listing.files[0].digest.is_some() && listing.files[0].problem.is_none());
        assert!(listing.files[1].problem.is_some());
    }

    #[test]
    fn nemar_is_read() {
        let hex = "a8b4ec201f0c21b144a60bff189f36668eb2d88ea1e1db4646b1a55894396cc1";
        let at = Url::parse("https://data.nemar.org/nm1/v1.0.0/manifest.json").unwrap();
        let text = format!(
            r#"{{"files": [{{"path": "a b.tsv", "size": 3, "git_sha1": "x"}},
            {{"path": "s/x.eeg", "url":
            "https://nemar.s3.us-east-2.amazonaws.com/nm1/objects/SHA256E-s9--{hex}.eeg?X-Amz-Expires=3600"}}]}}"#
        );
        let listing = nemar(&text, &at).unwrap();
        let [small, large] = &listing.files[..] else {
            panic!("{listing:?}")
        };
        assert_eq!(
            small.url.as_str(),
            "https://data.nemar.org/nm1/v1.0.0/a%20b.tsv"
        );
        assert_eq!((small.size, small.digest), (Some(3), None));
        assert_eq!(large.url.query(), None);
        assert_eq!(large.size, Some(9));
        assert_eq!(large.digest, Digest::from_hex(hex));
        let list = r#"[{"path": "a", "url": "ftp://x/a"}]"#;
        assert!(nemar(list, &at).is_err());
    }
}

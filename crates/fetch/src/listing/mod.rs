//! What a source offers: names, addresses, sizes and checksums, as its publisher states them. Names
//! are not yet trusted here; [`crate::plan`] looks at each.

mod http;
mod records;
mod s3;
mod sums;

use url::Url;

use crate::dataset::{Dataset, Source};
use crate::digest::Digest;
use crate::http::{Client, parse};
use crate::retry::Failure;
use crate::table::{Table, table};
use crate::{Error, Result};

/// The most that a list may have.
pub(crate) const LIST_BYTES: u64 = 64 << 20;

/// One file as it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Name below the data set; `None` where only the server knows it.
    pub(crate) path: Option<String>,
    pub(crate) url: Url,
    pub(crate) size: Option<u64>,
    pub(crate) digest: Option<Digest>,
    /// Why it cannot be had.
    pub(crate) problem: Option<String>,
}

/// What a source offers.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<Offered>,
    /// What to know of the list itself.
    pub(crate) notes: Vec<String>,
}

/// Asks the source.
pub(crate) fn list(dataset: &Dataset, source: &Source, client: &Client) -> Result<Listing> {
    let asked = |url: &Url| {
        let (name, url) = (dataset.name.clone(), url.to_string());
        move |failure: Failure| Error::Listing {
            name,
            url,
            why: failure.why().to_owned(),
        }
    };
    match source {
        Source::S3 {
            endpoint,
            prefix,
            sums,
            table,
        } => {
            let bucket = parse(&format!("{endpoint}/"))?;
            let mut listing = s3::list(client, &bucket, prefix).map_err(asked(&bucket))?;
            if let Some(sums) = sums {
                let url = s3::object(&bucket, &format!("{prefix}{sums}"));
                let text = client.text(&url, LIST_BYTES).map_err(asked(&url))?;
                let sums = sums::parse(&text).map_err(|why| asked(&url)(Failure::Lasting(why)))?;
                s3::add_sums(&mut listing, &sums, &bucket, prefix);
            }
            join(listing, table.as_deref())
        }
        Source::Zenodo { record, api } => {
            let url = parse(&format!("{api}/records/{record}"))?;
            let text = client.text(&url, LIST_BYTES).map_err(asked(&url))?;
            records::zenodo(&text).map_err(|why| asked(&url)(Failure::Lasting(why)))
        }
        Source::Figshare { article, api } => {
            let url = parse(&format!("{api}/articles/{article}/files?page_size=1000"))?;
            let text = client.text(&url, LIST_BYTES).map_err(asked(&url))?;
            records::figshare(&text).map_err(|why| asked(&url)(Failure::Lasting(why)))
        }
        Source::Nemar {
            id,
            version,
            table,
            api,
        } => {
            let url = parse(&format!("{api}/{id}/{version}/manifest.json"))?;
            let text = client.text(&url, LIST_BYTES).map_err(asked(&url))?;
            let listing =
                records::nemar(&text, &url).map_err(|why| asked(&url)(Failure::Lasting(why)))?;
            join(listing, table.as_deref())
        }
        Source::Http {
            base,
            files,
            table,
            sums,
            sums_include,
            named_by_server,
        } => {
            let base = parse(base)?;
            let mut listing = http::named(&base, files, named_by_server)?;
            if let Some(name) = table {
                http::add_table(&mut listing, &base, &crate::table::table(name)?)?;
            }
            if let Some(sums) = sums {
                let url = http::below(&base, sums)?;
                let text = client.text(&url, LIST_BYTES).map_err(asked(&url))?;
                let sums = sums::parse(&text).map_err(|why| asked(&url)(Failure::Lasting(why)))?;
                http::add_sums(&mut listing, &base, &sums, sums_include.as_deref())?;
            }
            Ok(listing)
        }
    }
}

/// What the stored table says, with nobody asked. The addresses are those of the source's root.
pub(crate) fn stored(dataset: &Dataset, source: &Source) -> Result<Listing> {
    let missing = || Error::NoTable(dataset.name.clone());
    let found = table(source.table().ok_or_else(missing)?)?;
    let base = match source {
        Source::S3 {
            endpoint, prefix, ..
        } => format!("{endpoint}/{prefix}"),
        Source::Nemar {
            id, version, api, ..
        } => format!("{api}/{id}/{version}/"),
        Source::Http { base, .. } => base.clone(),
        Source::Zenodo { .. } | Source::Figshare { .. } => return Err(missing()),
    };
    let mut listing = Listing::default();
    http::add_table(&mut listing, &parse(&base)?, &found)?;
    listing.notes.push(format!(
        "planned from {}, nobody was asked: small files that git itself holds are not in it",
        found.about
    ));
    Ok(listing)
}

/// Adds the checksums of the stored table to what the publisher lists.
fn join(mut listing: Listing, name: Option<&str>) -> Result<Listing> {
    let Some(name) = name else {
        return Ok(listing);
    };
    let table: Table = table(name)?;
    let mut seen = std::collections::HashSet::new();
    let mut newer = Vec::new();
    for file in &mut listing.files {
        let Some(row) = file.path.as_deref().and_then(|p| table.get(p)) else {
            continue;
        };
        seen.insert(row.path.clone());
        match file.size {
            Some(size) if size != row.size => newer.push(row.path.as_str()),
            _ => {
                file.size = Some(row.size);
                file.digest = Some(row.digest);
            }
        }
    }
    if let Some(first) = newer.first() {
        listing.notes.push(format!(
            "{} files differ in size from {}, as {first}: newer ones, checked by what the publisher lists",
            newer.len(),
            table.about
        ));
    }
    let gone: Vec<&str> = table
        .files
        .iter()
        .map(|r| r.path.as_str())
        .filter(|p| !seen.contains(*p))
        .collect();
    if let Some(first) = gone.first() {
        listing.notes.push(format!(
            "{} files of {} are no longer listed, as {first}",
            gone.len(),
            table.about
        ));
    }
    Ok(listing)
}

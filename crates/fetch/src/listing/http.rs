//! Files below one address that nobody lists: names by rule, by a stored table, by a published file
//! of checksums, or told by the server itself.

use regex::Regex;
use url::Url;

use super::{Listing, Offered};
use crate::digest::Digest;
use crate::http::parse;
use crate::path::encode;
use crate::table::Table;
use crate::{Error, Result};

/// The address of a name.
pub(super) fn below(base: &Url, name: &str) -> Result<Url> {
    parse(&format!("{}{}", base.as_str(), encode(name)))
}

fn offered(base: &Url, name: &str, size: Option<u64>, digest: Option<Digest>) -> Result<Offered> {
    Ok(Offered {
        path: Some(name.to_owned()),
        url: below(base, name)?,
        size,
        digest,
        problem: None,
    })
}

/// Names by rule, and addresses whose names the server tells.
pub(super) fn named(base: &Url, files: &[String], by_server: &[String]) -> Result<Listing> {
    let mut listing = Listing::default();
    for rule in files {
        for name in expand(rule)? {
            listing.files.push(offered(base, &name, None, None)?);
        }
    }
    for id in by_server {
        listing.files.push(Offered {
            path: None,
            ..offered(base, id, None, None)?
        });
    }
    Ok(listing)
}

/// The files of a stored table.
pub(super) fn add_table(listing: &mut Listing, base: &Url, table: &Table) -> Result<()> {
    for row in &table.files {
        let file = offered(base, &row.path, Some(row.size), Some(row.digest))?;
        listing.files.push(file);
    }
    Ok(())
}

/// The files that a file of checksums names.
pub(super) fn add_sums(
    listing: &mut Listing,
    base: &Url,
    sums: &[(String, Digest)],
    include: Option<&str>,
) -> Result<()> {
    let include = include
        .map(Regex::new)
        .transpose()
        .map_err(|e| Error::Sources(e.to_string()))?;
    for (name, digest) in sums {
        if include.as_ref().is_none_or(|p| p.is_match(name)) {
            listing
                .files
                .push(offered(base, name, None, Some(*digest))?);
        }
    }
    Ok(())
}

/// `A{01..09}T.mat` as nine names; the number of digits is that of the first.
fn expand(rule: &str) -> Result<Vec<String>> {
    let bad = || Error::Sources(format!("`{rule}` is no rule of names"));
    let Some((head, rest)) = rule.split_once('{') else {
        return Ok(vec![rule.to_owned()]);
    };
    let (range, tail) = rest.split_once('}').ok_or_else(bad)?;
    let (first, last) = range.split_once("..").ok_or_else(bad)?;
    let number = |t: &str| t.parse::<u32>().map_err(|_| bad());
    let (from, to) = (number(first)?, number(last)?);
    let tails = expand(tail)?;
    let width = first.len();
    let mut all = Vec::new();
    for n in from..=to.min(from.saturating_add(9999)) {
        all.extend(tails.iter().map(|t| format!("{head}{n:0width$}{t}")));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_expanded() {
        let names = expand("session{1..2}/s{08..10}.mat").unwrap();
        assert_eq!(
            names,
            [
                "session1/s08.mat",
                "session1/s09.mat",
                "session1/s10.mat",
                "session2/s08.mat",
                "session2/s09.mat",
                "session2/s10.mat",
            ]
        );
        assert_eq!(expand("README").unwrap(), ["README"]);
        for bad in ["a{1", "a{1-2}", "a{x..y}"] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}

//! Links of an archive, followed by their text to a member that is a file. Owns the rules; no
//! link is ever made on disk from an archive's text, so none can lead out of the folder.

use std::collections::HashMap;

use crate::{Reason, names};

/// Most links in a chain.
const HOPS: usize = 16;

/// A wanted link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Its own safe name.
    pub(crate) path: String,
    /// What it names, from the archive's root; None when that is outside.
    target: Option<String>,
    /// As the archive has it.
    text: String,
}

impl Link {
    /// A hard link: the text is a member's name.
    pub(crate) fn hard(path: String, text: &str) -> Self {
        Link {
            path,
            target: names::safe(text).ok(),
            text: names::shown(text),
        }
    }

    /// A symbolic link: the text is relative to the link's own folder.
    pub(crate) fn symbolic(path: String, text: &str) -> Self {
        let target = names::symlink(&path, text);
        Link {
            path,
            target,
            text: names::shown(text),
        }
    }
}

/// A file and its size, or why there is none.
pub(crate) type End<'a> = Result<(&'a str, u64), (Reason, String)>;

/// For each link the file it ends at, `bytes` of which are known, or why there is none.
pub(crate) fn resolve<'a>(links: &'a [Link], files: &'a HashMap<String, u64>) -> Vec<End<'a>> {
    let by_path: HashMap<&str, &Link> = links.iter().map(|l| (l.path.as_str(), l)).collect();
    let follow = |link: &'a Link| {
        let mut here = link;
        for _ in 0..HOPS {
            let Some(target) = &here.target else {
                let what = format!("a link to {:?}, outside the folder", here.text);
                return Err((Reason::LinkOutside, what));
            };
            if let Some((path, bytes)) = files.get_key_value(target) {
                return Ok((path.as_str(), *bytes));
            }
            match by_path.get(target.as_str()) {
                Some(next) => here = next,
                None => {
                    let what = format!(
                        "a link to {:?}, which is not a file unpacked from this archive",
                        here.text
                    );
                    return Err((Reason::LinkBroken, what));
                }
            }
        }
        Err((Reason::LinkBroken, "links that lead in a ring".to_owned()))
    };
    links.iter().map(follow).collect()
}

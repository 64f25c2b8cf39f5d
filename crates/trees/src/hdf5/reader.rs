//! The file as a [`Tree`]: what each object is, and the way from one to the next.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::cache::Cache;
use super::dataset::Dataset;
use super::datatype::{Member, Type};
use super::file::{File, little};
use super::group::Link;
use super::mcos::Subsystem;
use super::object::{Body, Object};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::tree::{Class, Container, Note, Tree, Var};

/// Objects kept parsed; beyond that all are dropped.
const MOST_OBJECTS: usize = 8192;
/// Soft links followed one after the other.
const MOST_LINKS: usize = 16;
/// A handle is an address below this and, above it, a compound's member from 1.
const MEMBER: u32 = 48;
/// The handle of what leads nowhere.
const NOWHERE: u64 = (1 << MEMBER) - 1;

pub(super) struct Hdf5 {
    pub(super) file: File,
    pub(super) cache: Cache,
    pub(super) matlab: bool,
    objects: Mutex<HashMap<u64, Arc<Object>>>,
    variables: Vec<Var>,
    notes: Vec<Note>,
    pub(super) subsystem: OnceLock<std::result::Result<Subsystem, String>>,
}

impl Hdf5 {
    pub(super) fn open(source: Source) -> Result<Hdf5> {
        let file = File::open(source)?;
        let matlab = file.user_block().starts_with(b"MATLAB");
        let mut tree = Hdf5 {
            file,
            cache: Cache::default(),
            matlab,
            objects: Mutex::default(),
            variables: Vec::new(),
            notes: Vec::new(),
            subsystem: OnceLock::new(),
        };
        let root = tree.object(tree.file.root)?;
        let Body::Group(members) = &root.body else {
            return Err(tree
                .file
                .damaged("root group", tree.file.root, "it is no group"));
        };
        for (name, link) in members {
            // MATLAB keeps what cells refer to, and objects, in hidden groups.
            if tree.matlab && name.starts_with('#') {
                continue;
            }
            let var = tree.follow(link, name.clone())?;
            if var.class == Class::Opaque {
                let message = format!("{name}: {}; its values are not read", tree.why(&var));
                let code = "not-read";
                tree.notes.push(Note { code, message });
            }
            tree.variables.push(var);
        }
        Ok(tree)
    }

    pub(super) fn object(&self, address: u64) -> Result<Arc<Object>> {
        let lock = || self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(&address) {
            return Ok(Arc::clone(found));
        }
        let object = Arc::new(Object::load(&self.file, address)?);
        let mut objects = lock();
        if objects.len() >= MOST_OBJECTS {
            objects.clear();
        }
        objects.insert(address, Arc::clone(&object));
        Ok(object)
    }

    /// The path of a link to the address of an object; `None` when it leads nowhere.
    fn resolve(&self, link: &Link) -> Result<Option<u64>> {
        let mut link = link.clone();
        for _ in 0..MOST_LINKS {
            let path = match link {
                Link::Hard(address) => return Ok(Some(address)),
                Link::External => return Ok(None),
                Link::Soft(path) => path,
            };
            let parts: Vec<&str> = path
                .split('/')
                .filter(|p| !p.is_empty() && *p != ".")
                .collect();
            let mut at = self.file.root;
            let mut last = Link::Hard(at);
            for (i, part) in parts.iter().enumerate() {
                let object = self.object(at)?;
                let Body::Group(members) = &object.body else {
                    return Ok(None);
                };
                let Some((_, next)) = members.iter().find(|(name, _)| name == part) else {
                    return Ok(None);
                };
                last = next.clone();
                match next {
                    Link::Hard(address) => at = *address,
                    // A link within the path is followed only at its end.
                    _ if i + 1 < parts.len() => return Ok(None),
                    _ => {}
                }
            }
            link = last;
        }
        Ok(None)
    }

    fn follow(&self, link: &Link, place: String) -> Result<Var> {
        match self.resolve(link)? {
            Some(address) => self.describe(address, place),
            None => Ok(bare(place, Class::Opaque, Vec::new(), NOWHERE)),
        }
    }

    /// What the object at `address` is.
    pub(super) fn describe(&self, address: u64, place: String) -> Result<Var> {
        if address >= NOWHERE {
            return Err(self.file.damaged(place, address, "an address beyond 2^48"));
        }
        let object = self.object(address)?;
        let var = |class, dims| bare(place.clone(), class, dims, address);
        let data = match &object.body {
            Body::Other(_) => return Ok(var(Class::Opaque, Vec::new())),
            Body::Group(_) if self.matlab => return self.matlab_group(&object, address, place),
            Body::Group(members) => {
                let mut var = var(Class::Struct, vec![1]);
                var.fields = members.iter().map(|(name, _)| name.clone()).collect();
                return Ok(var);
            }
            Body::Data(data) => data,
        };
        if self.matlab {
            return self.matlab_data(&object, data, address, place);
        }
        let mut out = var(class(&data.kind), data.dims.clone());
        out.complex = parts(&data.kind).is_some();
        if data.null {
            out.dims = vec![0];
        }
        if let (Class::Struct, Type::Compound { members, .. }) = (out.class, &data.kind) {
            out.dims = vec![1];
            out.fields = members.iter().map(|m| m.name.clone()).collect();
        }
        Ok(out)
    }

    /// The data set behind a variable, and the member of it that the variable is.
    pub(super) fn data<'a>(
        &self,
        of: &Var,
        object: &'a Object,
    ) -> Result<(&'a Dataset, Option<&'a Member>)> {
        let Body::Data(data) = &object.body else {
            return Err(self.wrong(of, "a data set"));
        };
        match (of.handle >> MEMBER, &data.kind) {
            (0, _) => Ok((data, None)),
            (n, Type::Compound { members, .. }) => match members.get(n as usize - 1) {
                Some(member) => Ok((data, Some(member))),
                None => Err(self.wrong(of, "a member of the compound")),
            },
            _ => Err(self.wrong(of, "a compound")),
        }
    }

    pub(super) fn address(of: &Var) -> u64 {
        of.handle & ((1 << MEMBER) - 1)
    }

    /// Dimensions of the file from the fastest to the slowest of the model.
    pub(super) fn order(&self, data: &Dataset) -> Vec<usize> {
        let all = 0..data.dims.len();
        if self.matlab {
            all.rev().collect()
        } else {
            all.collect()
        }
    }

    /// The address that reference `element` of a data set holds; `None` for a null one.
    pub(super) fn reference(&self, data: &Dataset, element: u64) -> Result<Option<u64>> {
        let order = self.order(data);
        let bytes = data.raw(&self.file, &self.cache, element, 1, &order)?;
        let address = little(&bytes);
        let null = address == 0 || bytes.iter().all(|b| *b == 0xff);
        Ok((!null).then_some(address))
    }

    pub(super) fn wrong(&self, of: &Var, expected: &'static str) -> Error {
        Error::Kind {
            path: self.file.path().to_path_buf(),
            place: of.place.clone(),
            expected,
            found: match of.class {
                Class::Opaque => self.why(of),
                class => format!("{class:?}"),
            },
        }
    }

    /// Why a variable is opaque.
    fn why(&self, of: &Var) -> String {
        let Ok(object) = self.object(Self::address(of)) else {
            return "a link that leads nowhere or to another file".to_owned();
        };
        match (&object.body, &object.mark.class) {
            (Body::Other(what), _) => what.clone(),
            (_, Some(class)) if self.matlab => match self.object_reason(&object) {
                Some(reason) => format!("a MATLAB {class} ({reason})"),
                None => format!("a MATLAB {class}"),
            },
            (Body::Data(data), _) => match &data.kind {
                Type::Other { what, .. } => (*what).to_owned(),
                Type::Vlen { .. } => "a variable-length sequence".to_owned(),
                other => format!("elements of type {other:?}"),
            },
            _ => "an object".to_owned(),
        }
    }

    /// The error of asking an opaque variable for values.
    fn opaque(&self, of: &Var) -> Error {
        Error::Unsupported {
            path: self.file.path().to_path_buf(),
            place: of.place.clone(),
            what: self.why(of),
        }
    }

    pub(super) fn beyond(&self, of: &Var, element: u64) -> Error {
        Error::Range {
            path: self.file.path().to_path_buf(),
            place: of.place.clone(),
            message: format!("element {} of {}", element.saturating_add(1), of.len()),
        }
    }

    /// Says which variable an error of the layers below is about.
    pub(super) fn located<T>(&self, of: &Var, result: Result<T>) -> Result<T> {
        result.map_err(|e| match e {
            Error::Unsupported { path, what, .. } => Error::Unsupported {
                path,
                place: of.place.clone(),
                what,
            },
            other => other,
        })
    }
}

pub(super) fn bare(place: String, class: Class, dims: Vec<u64>, handle: u64) -> Var {
    Var {
        place,
        class,
        dims,
        fields: Vec::new(),
        complex: false,
        handle,
    }
}

/// What elements of a type are.
pub(super) fn class(kind: &Type) -> Class {
    match kind {
        Type::Int { size, signed, .. } => {
            let bits = 8 * *size as u8;
            if *signed {
                Class::Int(bits)
            } else {
                Class::UInt(bits)
            }
        }
        Type::Float { .. } => match super::number::Decoder::new(kind) {
            Some(super::number::Decoder::F64(_)) => Class::F64,
            Some(super::number::Decoder::F32(_)) => Class::F32,
            _ => Class::OtherFloat,
        },
        Type::Enum { truth: true, .. } => Class::Bool,
        Type::Enum { base, .. } => class(base),
        Type::Text { .. } | Type::VlenText { .. } => Class::Text,
        Type::Reference { .. } => Class::Cell,
        Type::Compound { .. } => match parts(kind) {
            Some((real, _)) => class(&real.kind),
            None => Class::Struct,
        },
        Type::Complex { base } => class(base),
        Type::Vlen { .. } | Type::Array { .. } | Type::Other { .. } => Class::Opaque,
    }
}

/// Real and imaginary part, when the type is complex.
pub(super) fn parts(kind: &Type) -> Option<(Member, Member)> {
    match kind {
        Type::Compound { members, .. } => match members.as_slice() {
            [a, b]
                if matches!(
                    (a.name.as_str(), b.name.as_str()),
                    ("r", "i") | ("real", "imag")
                ) =>
            {
                (a.kind.is_number() && a.kind == b.kind).then(|| (a.clone(), b.clone()))
            }
            _ => None,
        },
        Type::Complex { base } => {
            let part = |offset| Member {
                name: String::new(),
                offset,
                kind: (**base).clone(),
            };
            Some((part(0), part(base.size())))
        }
        _ => None,
    }
}

impl Tree for Hdf5 {
    fn held(&self) -> u64 {
        self.cache.held()
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    fn container(&self) -> Container {
        if self.matlab {
            Container::MatV73
        } else {
            Container::Hdf5
        }
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn variables(&self) -> Vec<Var> {
        self.variables.clone()
    }

    fn field(&self, of: &Var, element: u64, name: &str) -> Result<Option<Var>> {
        match of.class {
            Class::Struct | Class::Table => {}
            Class::Opaque => return Err(self.opaque(of)),
            _ => return Err(self.wrong(of, "a struct or a group")),
        }
        if element >= of.len() {
            return Err(self.beyond(of, element));
        }
        let place = match of.len() {
            1 => format!("{}.{name}", of.place),
            _ => format!("{}({}).{name}", of.place, element + 1),
        };
        if of.class == Class::Table {
            return self.column(of, name, place);
        }
        let object = self.object(Self::address(of))?;
        match &object.body {
            Body::Group(members) => {
                let Some((_, link)) = members.iter().find(|(n, _)| n == name) else {
                    return Ok(None);
                };
                if of.len() == 1 && !self.is_struct_array(&object)? {
                    return self.follow(link, place).map(Some);
                }
                self.struct_element(link, element, place).map(Some)
            }
            Body::Data(data) => {
                let Type::Compound { members, .. } = &data.kind else {
                    return Ok(None);
                };
                let Some(k) = members.iter().position(|m| m.name == name) else {
                    return Ok(None);
                };
                let kind = members.get(k).map(|m| &m.kind);
                let handle = of.handle | (k as u64 + 1) << MEMBER;
                let mut var = bare(place, Class::Opaque, data.dims.clone(), handle);
                if let Some(kind) = kind.filter(|_| of.handle >> MEMBER == 0) {
                    // A compound within a compound is not read.
                    var.complex = parts(kind).is_some();
                    var.class = match class(kind) {
                        Class::Struct | Class::Cell => Class::Opaque,
                        other => other,
                    };
                }
                Ok(Some(var))
            }
            Body::Other(_) => Err(self.opaque(of)),
        }
    }

    fn cell(&self, of: &Var, element: u64) -> Result<Var> {
        match of.class {
            Class::Cell => {}
            Class::Opaque => return Err(self.opaque(of)),
            _ => return Err(self.wrong(of, "a cell array or references")),
        }
        if element >= of.len() {
            return Err(self.beyond(of, element));
        }
        let object = self.object(Self::address(of))?;
        let (data, _) = self.data(of, &object)?;
        let place = format!("{}{{{}}}", of.place, element + 1);
        match self.located(of, self.reference(data, element))? {
            Some(address) => self.describe(address, place),
            // MATLAB shows an unset cell as an empty matrix.
            None => Ok(bare(place, Class::F64, vec![0, 0], NOWHERE)),
        }
    }

    fn read_f64(&self, of: &Var, first: &[u64], stride: u64, out: &mut [&mut [f64]]) -> Result<()> {
        if of.class == Class::Opaque {
            return Err(self.opaque(of));
        }
        self.read(of, false, first, stride, out)
    }

    fn read_imaginary(
        &self,
        of: &Var,
        first: &[u64],
        stride: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        if of.class == Class::Opaque {
            return Err(self.opaque(of));
        }
        self.read(of, true, first, stride, out)
    }

    fn texts(&self, of: &Var) -> Result<Vec<String>> {
        if of.class == Class::Opaque {
            return Err(self.opaque(of));
        }
        self.all_texts(of)
    }
}

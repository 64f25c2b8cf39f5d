//! MATLAB v7.3: what its attributes make of data sets and groups.

use super::dataset::Dataset;
use super::datatype::Type;
use super::group::Link;
use super::mcos::Instance;
use super::object::{Body, Object};
use super::reader::{Hdf5, bare, class, parts};
use crate::error::Result;
use crate::tree::{Class, Tree, Var};

/// Most dimensions of an empty array.
const MOST_DIMS: u64 = 64;

/// MATLAB's size: reversed, and at least two.
fn size(dims: &[u64]) -> Vec<u64> {
    let mut out: Vec<u64> = dims.iter().rev().copied().collect();
    while out.len() < 2 {
        out.push(1);
    }
    out
}

/// The class that the attribute names, for data that a type alone does not tell.
fn named(name: Option<&str>, stored: Class) -> Class {
    match name {
        Some("char") => Class::Char,
        Some("logical") => Class::Bool,
        Some("cell") => Class::Cell,
        Some("struct") => Class::Struct,
        Some("double") if stored != Class::Opaque => Class::F64,
        Some("single") if stored != Class::Opaque => Class::F32,
        Some("int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64")
        | None => stored,
        Some("double" | "single") => stored,
        Some(_) => Class::Opaque,
    }
}

impl Hdf5 {
    pub(super) fn matlab_group(&self, object: &Object, address: u64, place: String) -> Result<Var> {
        let Body::Group(members) = &object.body else {
            return Ok(bare(place, Class::Opaque, Vec::new(), address));
        };
        let name = object.mark.class.as_deref();
        if let Some(rows) = object.mark.sparse {
            let starts = self.part(object, "jc", format!("{place}.jc"))?;
            let columns = starts.map_or(0, |v| v.len().saturating_sub(1));
            let data = self.part(object, "data", format!("{place}.data"))?;
            let class = named(name, Class::F64);
            let mut var = bare(place, class, vec![rows, columns], address);
            var.complex = data.is_some_and(|d| d.complex);
            if !var.class.is_numeric() {
                var.class = Class::Opaque;
            }
            return Ok(var);
        }
        if !matches!(name, None | Some("struct")) || object.mark.object {
            return Ok(bare(place, Class::Opaque, Vec::new(), address));
        }
        let mut dims = vec![1, 1];
        if let Some(Link::Hard(first)) = members.first().map(|(_, link)| link)
            && self.is_struct_array(object)?
            && let Body::Data(data) = &self.object(*first)?.body
        {
            dims = size(&data.dims);
        }
        let mut var = bare(place, Class::Struct, dims, address);
        let known = |field: &String| members.iter().any(|(name, _)| name == field);
        var.fields = object.mark.fields.clone();
        if var.fields.len() != members.len() || !var.fields.iter().all(known) {
            var.fields = members.iter().map(|(name, _)| name.clone()).collect();
        }
        Ok(var)
    }

    /// Whether a struct's members are not its fields but references to them, one an element:
    /// those lack a class of their own.
    pub(super) fn is_struct_array(&self, object: &Object) -> Result<bool> {
        let Body::Group(members) = &object.body else {
            return Ok(false);
        };
        let Some((_, Link::Hard(first))) = members.first().filter(|_| self.matlab) else {
            return Ok(false);
        };
        let first = self.object(*first)?;
        let references = match &first.body {
            Body::Data(data) => matches!(data.kind, Type::Reference { .. }),
            _ => false,
        };
        Ok(references && first.mark.class.is_none())
    }

    /// A field of an element of a struct array.
    pub(super) fn struct_element(&self, link: &Link, element: u64, place: String) -> Result<Var> {
        let Link::Hard(address) = link else {
            return Ok(bare(place, Class::F64, vec![0, 0], 0));
        };
        let object = self.object(*address)?;
        let Body::Data(data) = &object.body else {
            return Err(self
                .file
                .damaged(place, *address, "a field that is no references"));
        };
        if !matches!(data.kind, Type::Reference { .. }) || element >= data.len() {
            let message = format!("element {} of {} references", element + 1, data.len());
            return Err(self.file.damaged(place, *address, message));
        }
        match self.reference(data, element)? {
            Some(address) => self.describe(address, place),
            None => Ok(bare(place, Class::F64, vec![0, 0], 0)),
        }
    }

    /// A member of a group that is itself a variable (the parts of a sparse matrix).
    pub(super) fn part(&self, object: &Object, name: &str, place: String) -> Result<Option<Var>> {
        let Body::Group(members) = &object.body else {
            return Ok(None);
        };
        match members.iter().find(|(n, _)| n == name) {
            Some((_, Link::Hard(address))) => {
                let part = self.object(*address)?;
                match &part.body {
                    Body::Data(data) => {
                        let mut var = bare(place, class(&data.kind), data.dims.clone(), *address);
                        var.complex = parts(&data.kind).is_some();
                        Ok(Some(var))
                    }
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    pub(super) fn matlab_data(
        &self,
        object: &Object,
        data: &Dataset,
        address: u64,
        place: String,
    ) -> Result<Var> {
        let mark = &object.mark;
        if mark.object {
            return self.instance_var(data, address, place);
        }
        let stored = class(&data.kind);
        let mut out = bare(
            place,
            named(mark.class.as_deref(), stored),
            size(&data.dims),
            address,
        );
        out.complex = parts(&data.kind).is_some();
        let fits = match out.class {
            Class::Cell => matches!(data.kind, Type::Reference { .. }),
            Class::F64 | Class::F32 | Class::Char | Class::Bool => stored.is_numeric(),
            Class::Struct => false,
            _ => true,
        };
        if mark.empty {
            // The data are the dimensions; without elements the class needs no data.
            let raw = bare(String::new(), stored, vec![data.len()], address);
            if data.len() > MOST_DIMS || !stored.is_numeric() {
                let message = format!("an empty array with {} dimensions", data.len());
                return Err(self.file.damaged(out.place, address, message));
            }
            let dims = self.numbers(&raw, MOST_DIMS as usize)?;
            out.dims = dims.iter().map(|d| *d as u64).collect();
            out.complex = false;
            if out.class == Class::Struct {
                out.fields = mark.fields.clone();
            }
            // A struct without fields is kept this way too, whatever its dimensions.
            if !out.is_empty() && out.class != Class::Struct {
                let message = format!("an empty array of dimensions {:?}", out.dims);
                return Err(self.file.damaged(out.place, address, message));
            }
        } else if data.null {
            out.dims = vec![0, 0];
        } else if !fits {
            out.class = Class::Opaque;
        }
        Ok(out)
    }

    fn instance_var(&self, data: &Dataset, address: u64, place: String) -> Result<Var> {
        let opaque = bare(place, Class::Opaque, Vec::new(), address);
        Ok(match self.instance(data)? {
            Ok(Instance::Strings(dims, _)) => Var {
                class: Class::Text,
                dims,
                ..opaque
            },
            Ok(Instance::Table(names, _)) => Var {
                class: Class::Table,
                dims: vec![1],
                fields: names,
                ..opaque
            },
            Err(_) => opaque,
        })
    }

    /// A column of a table.
    pub(super) fn column(&self, of: &Var, name: &str, place: String) -> Result<Option<Var>> {
        let object = self.object(Self::address(of))?;
        let (data, _) = self.data(of, &object)?;
        let Ok(Instance::Table(names, columns)) = self.instance(data)? else {
            return Err(self.wrong(of, "a table"));
        };
        let at = names
            .iter()
            .position(|n| n == name)
            .and_then(|k| columns.get(k));
        at.map(|at| self.describe(*at, place)).transpose()
    }

    /// The strings of a string array; `None` when the variable is none.
    pub(super) fn strings(&self, of: &Var) -> Result<Option<Vec<String>>> {
        let object = self.object(Self::address(of))?;
        if !object.mark.object {
            return Ok(None);
        }
        let (data, _) = self.data(of, &object)?;
        match self.instance(data)? {
            Ok(Instance::Strings(_, texts)) => Ok(Some(texts)),
            _ => Err(self.wrong(of, "strings")),
        }
    }

    /// Why an object is not read.
    pub(super) fn object_reason(&self, object: &Object) -> Option<String> {
        match &object.body {
            Body::Data(data) if object.mark.object => match self.instance(data) {
                Ok(Err(reason)) => Some(reason),
                _ => None,
            },
            _ => None,
        }
    }
}

//! The arena of a pickle's values.

/// Number of a value.
pub(super) type Id = usize;

/// One value. What is never asked for is [`Value::Opaque`].
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// None, true, false, floats, bytes, whole numbers beyond 64 bits.
    Opaque,
    /// A whole number.
    Int(i64),
    /// A string.
    Text(String),
    /// A tuple, list or set.
    Items(Vec<Id>),
    /// A dictionary.
    Dict(Vec<(Id, Id)>),
    /// A class or function, by its path; never looked up.
    Global(String),
    /// What PyTorch keeps outside the pickle: a storage.
    Persistent(Id),
    /// A class or function with its arguments; never called.
    Call {
        /// Which.
        class: Id,
        /// A tuple.
        arguments: Id,
    },
}

/// All values of one pickle.
#[derive(Debug, Default)]
pub(super) struct Values {
    all: Vec<Value>,
    /// Items set on calls, such as an ordered dictionary's.
    attached: std::collections::HashMap<Id, Vec<(Id, Id)>>,
}

impl Values {
    pub(super) fn add(&mut self, v: Value) -> Id {
        self.all.push(v);
        self.all.len() - 1
    }

    pub(super) fn get(&self, id: Id) -> Option<&Value> {
        self.all.get(id)
    }

    pub(super) fn append(&mut self, owner: Id, items: &[Id]) {
        if let Some(Value::Items(list)) = self.all.get_mut(owner) {
            list.extend(items);
        }
    }

    pub(super) fn set_items(&mut self, owner: Id, pairs: &[[Id; 2]]) {
        let pairs = pairs.iter().map(|[k, v]| (*k, *v));
        match self.all.get_mut(owner) {
            Some(Value::Dict(d)) => d.extend(pairs),
            Some(Value::Call { .. }) => self.attached.entry(owner).or_default().extend(pairs),
            _ => {}
        }
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id)? {
            Value::Text(s) => Some(s),
            _ => None,
        }
    }

    pub(super) fn integer(&self, id: Id) -> Option<i64> {
        match self.get(id)? {
            Value::Int(v) => Some(*v),
            _ => None,
        }
    }

    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id)? {
            Value::Items(v) => Some(v),
            _ => None,
        }
    }

    /// A tuple of whole numbers.
    pub(super) fn integers(&self, id: Id) -> Option<Vec<i64>> {
        self.items(id)?.iter().map(|i| self.integer(*i)).collect()
    }

    pub(super) fn global(&self, id: Id) -> Option<&str> {
        match self.get(id)? {
            Value::Global(s) => Some(s),
            _ => None,
        }
    }

    /// Path of what is called, and its arguments.
    pub(super) fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        match self.get(id)? {
            Value::Call { class, arguments } => {
                Some((self.global(*class)?, self.items(*arguments)?))
            }
            _ => None,
        }
    }

    /// Keys and values of a dictionary, ordered or not.
    pub(super) fn pairs(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id)? {
            Value::Dict(d) => Some(d),
            Value::Call { .. } => {
                let (path, _) = self.call(id)?;
                match path {
                    "collections.OrderedDict" | "collections.defaultdict" => {
                        Some(self.attached.get(&id).map_or(&[], Vec::as_slice))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The value of a text key.
    pub(super) fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let (_, v) = self
            .pairs(id)?
            .iter()
            .rev()
            .find(|(k, _)| self.text(*k) == Some(key))?;
        Some(*v)
    }
}

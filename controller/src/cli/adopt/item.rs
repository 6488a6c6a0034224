//! What is told of one object.

use std::fmt;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::Serialize;

/// What becomes of an object.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Fate {
    /// It would stop working, or mean something else: a person must change it before the Canary is there. What is
    /// written instead is right before the adoption as well.
    Change,
    /// The same, but not before the Canary's condition asks for it.
    ChangeWhenTold,
    /// A person must judge it.
    Look,
    /// It goes on as it is.
    Stays,
}

/// An object, or a part of one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// As `alert PodinfoDown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<String>,
}

/// A text, and what to write in its place. Both may have several lines.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Replace {
    /// What stands there now.
    pub(super) from: String,
    /// Ready to use.
    pub(super) to: String,
}

/// What is told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) fate: Fate,
    pub(super) object: Object,
    /// What would happen to it.
    pub(super) why: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) replace: Vec<Replace>,
}

impl Object {
    /// All of an object.
    pub(super) fn of(object: &DynamicObject) -> Self {
        let kind = object.types.as_ref().map(|types| types.kind.clone());
        Self {
            kind: kind.unwrap_or_default(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            part: None,
        }
    }

    /// A part of it.
    pub(super) fn part(&self, part: impl Into<String>) -> Self {
        Self {
            part: Some(part.into()),
            ..self.clone()
        }
    }
}

/// As `PrometheusRule monitoring/podinfo, alert PodinfoDown`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        match &self.part {
            Some(part) => write!(f, ", {part}"),
            None => Ok(()),
        }
    }
}

impl Item {
    pub(super) fn new(fate: Fate, object: Object, why: impl Into<String>) -> Self {
        Self {
            fate,
            object,
            why: why.into(),
            replace: Vec::new(),
        }
    }

    /// With one text more to be replaced.
    pub(super) fn with(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.replace.push(Replace {
            from: from.into(),
            to: to.into(),
        });
        self
    }
}

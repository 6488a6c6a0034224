//! The registry, as far as it is ours: Weaver knows more fields than are used here.

mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use source::{
    Connections, Count, Counted, Denial, Family, Is, Outcome, PeerLabels, Requests, Rule, Source,
    WorkloadLabels,
};

/// Where the registry lies.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("registry")
}

/// All that it says.
#[derive(Debug)]
pub struct Registry {
    /// The attributes that are defined here, and not by the semantic conventions.
    pub attributes: Vec<Attribute>,
    /// What a rollout is judged by, or a person looks at.
    pub indicators: Vec<(Group, Indicator)>,
    /// What the controller says of itself.
    pub metrics: Vec<Group>,
    /// Who counts.
    pub sources: Vec<(Group, Source)>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    groups: Vec<Group>,
}

/// A group of the registry: a metric, or attributes that belong together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// One of a kind.
    pub id: String,
    /// `metric` or `attribute_group`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A title, of a group of definitions.
    pub display_name: Option<String>,
    /// In one sentence.
    pub brief: String,
    /// And in more.
    #[serde(default)]
    pub note: String,
    /// A metric's name in OpenTelemetry's terms.
    #[serde(default)]
    pub metric_name: String,
    /// A metric's instrument.
    #[serde(default)]
    pub instrument: String,
    /// A metric's unit, in UCUM.
    #[serde(default)]
    pub unit: String,
    /// How stable it is.
    #[serde(default)]
    pub stability: String,
    /// What tells its series apart.
    #[serde(default)]
    pub attributes: Vec<Attribute>,
    #[serde(default)]
    annotations: BTreeMap<String, Value>,
}

/// An attribute: a definition, or a reference to one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    id: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// The type: a word, or the members of an enumeration.
    #[serde(rename = "type")]
    pub kind: Option<Value>,
    /// How stable it is.
    pub stability: Option<String>,
    /// In one sentence.
    #[serde(default)]
    pub brief: String,
    /// And in more.
    #[serde(default)]
    pub note: String,
    /// A word, or a condition.
    pub requirement_level: Option<Value>,
    /// Values that it may have.
    #[serde(default)]
    pub examples: Vec<Value>,
    #[serde(default)]
    annotations: BTreeMap<String, Value>,
}

impl Attribute {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.id.as_deref().or(self.reference.as_deref());
        name.unwrap_or_default()
    }

    /// Whether it is defined elsewhere.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        self.reference.is_some()
    }

    /// The label that holds it, where that has another name.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.annotations.get(OURS)?.get("label")?.as_str()
    }

    /// The values of an enumeration, and what each says.
    #[must_use]
    pub fn members(&self) -> Vec<(&str, &str)> {
        let members = self.kind.as_ref().and_then(|kind| kind.get("members"));
        let members = members.and_then(Value::as_array).into_iter().flatten();
        members
            .filter_map(|member| {
                Some((
                    member.get("value")?.as_str()?,
                    member.get("brief")?.as_str()?,
                ))
            })
            .collect()
    }
}

/// What is said of an indicator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indicator {
    /// Its name among the recorded series.
    pub recorded: String,
    /// The layer of the network that it looks at.
    pub layer: u8,
    /// The field of an SLO that judges by it; without one it is for people.
    pub slo: Option<String>,
}

/// The key of our annotations.
const OURS: &str = "sluice";

impl Registry {
    /// Reads it.
    ///
    /// # Errors
    /// When a file is not as it should be; the message names it.
    pub fn read() -> Result<Self> {
        let mut registry = Self {
            attributes: Vec::new(),
            indicators: Vec::new(),
            metrics: Vec::new(),
            sources: Vec::new(),
        };
        let mut paths: Vec<PathBuf> = fs::read_dir(folder())
            .context("listing the registry")?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        paths.sort();
        for path in paths {
            let named = || format!("reading {}", path.display());
            let text = fs::read_to_string(&path).with_context(named)?;
            // By way of JSON: YAML would write an enumeration's variant as a tag.
            let value: Value = serde_yaml_ng::from_str(&text).with_context(named)?;
            let file: File = serde_json::from_value(value).with_context(named)?;
            for group in file.groups {
                let id = group.id.clone();
                registry
                    .take(group)
                    .with_context(|| format!("{id}, {}", path.display()))?;
            }
        }
        Ok(registry)
    }

    fn take(&mut self, group: Group) -> Result<()> {
        match (group.kind.as_str(), group.annotations.get(OURS)) {
            ("metric", Some(_)) => {
                let indicator = group.ours()?;
                self.indicators.push((group, indicator));
            }
            ("metric", None) => self.metrics.push(group),
            ("attribute_group", Some(_)) => {
                let source = group.ours()?;
                self.sources.push((group, source));
            }
            ("attribute_group", None) => self.attributes.extend(group.attributes),
            (kind, _) => bail!("a group of type {kind} is not known here"),
        }
        Ok(())
    }

    /// The source of this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Source> {
        let mut sources = self.sources.iter().map(|(_, source)| source);
        sources.find(|source| source.source == name)
    }
}

impl Group {
    fn ours<T: DeserializeOwned>(&self) -> Result<T> {
        let value = self.annotations.get(OURS).cloned().unwrap_or_default();
        serde_json::from_value(value).context("annotations.sluice")
    }

    /// The metric's name as Prometheus' OTLP receiver writes it.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let name = self.metric_name.replace('.', "_");
        match (self.instrument.as_str(), self.unit.as_str()) {
            ("counter", _) => format!("{name}_total"),
            ("gauge", "1") => format!("{name}_ratio"),
            (_, "s") => format!("{name}_seconds"),
            _ => name,
        }
    }
}

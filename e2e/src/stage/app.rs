//! What Git holds of an app: a Deployment, its Service, and its Canary.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An app as a team would write it down. [`App::yaml`] is what Git holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Name of its Deployment, Service and Canary.
    pub name: String,
    /// Tag of its image: how it behaves, see [`crate::app`].
    pub tag: String,
    /// `spec.replicas` of the Deployment.
    pub replicas: Option<u32>,
    /// Container and Service ports.
    pub ports: Vec<u16>,
    /// Content of a mounted `ConfigMap` with a greeting.
    pub greeting: Option<String>,
    /// Template and selector carry the role of strict mode.
    pub strict: bool,
    /// Environment of its container, as a YAML list.
    pub env: Option<String>,
    /// Seconds that its container serves on before it is told to stop.
    pub pre_stop: Option<u32>,
    /// More fields of its pods' spec, as YAML by name.
    pub pod: BTreeMap<String, String>,
}

impl App {
    /// An app with one port and no configuration.
    #[must_use]
    pub fn new(name: &str, tag: &str) -> Self {
        Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
            replicas: None,
            ports: vec![8080],
            greeting: None,
            strict: false,
            env: None,
            pre_stop: None,
            pod: BTreeMap::from([("terminationGracePeriodSeconds".to_owned(), "10".to_owned())]),
        }
    }

    /// The same app with another image.
    #[must_use]
    pub fn tagged(&self, tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            ..self.clone()
        }
    }

    /// The same app with another text in its `ConfigMap`.
    #[must_use]
    pub fn greets(&self, greeting: &str) -> Self {
        Self {
            greeting: Some(greeting.to_owned()),
            ..self.clone()
        }
    }

    /// The same app, whose SDK pushes its metrics to `endpoint` every second, named by `convention`: see
    /// [`crate::app`]. Its pods tell by their own label which revision they are of, as the docs advise.
    #[must_use]
    pub fn pushes(&self, endpoint: &str, convention: &str) -> Self {
        let field = |path: &str| format!("valueFrom: {{fieldRef: {{fieldPath: \"{path}\"}}}}");
        let attributes = "service.name=$(APP),service.instance.id=$(POD),k8s.namespace.name=$(NAMESPACE),\
                          k8s.deployment.name=$(REVISION),k8s.pod.name=$(POD)";
        let env = [
            format!("{{name: APP, value: {}}}", self.name),
            format!("{{name: POD, {}}}", field("metadata.name")),
            format!("{{name: NAMESPACE, {}}}", field("metadata.namespace")),
            format!(
                "{{name: REVISION, {}}}",
                field("metadata.labels['sluice.dev/revision']")
            ),
            format!("{{name: OTEL_RESOURCE_ATTRIBUTES, value: \"{attributes}\"}}"),
            format!("{{name: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, value: \"{endpoint}\"}}"),
            "{name: OTEL_METRIC_EXPORT_INTERVAL, value: \"1000\"}".to_owned(),
            format!("{{name: TELEMETRY, value: {convention}}}"),
        ];
        Self {
            env: Some(format!("[{}]", env.join(", "))),
            ..self.clone()
        }
    }

    /// The same app with another field of its pods' spec.
    #[must_use]
    pub fn with(&self, field: &str, yaml: &str) -> Self {
        let mut app = self.clone();
        app.pod.insert(field.to_owned(), yaml.to_owned());
        app
    }

    /// Its manifests, but for the Canary.
    #[must_use]
    pub fn yaml(&self, namespace: &str) -> String {
        let Self { name, tag, .. } = self;
        let replicas = self
            .replicas
            .map(|n| format!("\n  replicas: {n}"))
            .unwrap_or_default();
        let role = if self.strict {
            ", sluice.dev/role: serving"
        } else {
            ""
        };
        let container_ports: Vec<_> = self
            .ports
            .iter()
            .map(|port| format!("{{containerPort: {port}}}"))
            .collect();
        let service_ports: Vec<_> = self
            .ports
            .iter()
            .map(|port| format!("{{name: http-{port}, port: {port}, targetPort: {port}}}"))
            .collect();
        let env = self.env.as_ref().map(|env| format!("\n        env: {env}"));
        let env = env.unwrap_or_default();
        let sleep = self.pre_stop.map(|seconds| {
            format!("\n        lifecycle: {{preStop: {{sleep: {{seconds: {seconds}}}}}}}")
        });
        let sleep = sleep.unwrap_or_default();
        let mut yaml = String::new();
        let mut pod = String::new();
        for (field, value) in &self.pod {
            // Writing to a String cannot fail.
            let _ = write!(pod, "\n      {field}: {value}");
        }
        let mut mounts = "";
        let mut volumes = String::new();
        if let Some(greeting) = &self.greeting {
            mounts = "\n        volumeMounts: [{name: config, mountPath: /etc/config}]";
            volumes = format!("\n      volumes: [{{name: config, configMap: {{name: {name}}}}}]");
            // Writing to a String cannot fail.
            let _ = write!(
                yaml,
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 data: {{greeting: {greeting:?}}}\n---\n"
            );
        }
        let _ = write!(
            yaml,
            "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:{replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}{role}}}}}
    spec:{volumes}{pod}
      containers:
      - name: app
        image: demo:{tag}
        ports: [{}]
        readinessProbe: {{httpGet: {{path: /readyz, port: {}}}, periodSeconds: 1}}{mounts}{env}{sleep}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  selector: {{app: {name}{role}}}
  ports: [{}]
",
            container_ports.join(", "),
            self.ports.first().copied().unwrap_or(8080),
            service_ports.join(", "),
        );
        yaml
    }
}

/// A Canary for an app of that name; `spec` is more of its spec, as YAML lines without indentation.
#[must_use]
pub fn canary(namespace: &str, name: &str, spec: &str) -> String {
    let mut yaml = format!(
        "apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  targetRef: {{kind: Deployment, name: {name}}}
"
    );
    for line in spec.lines() {
        // Writing to a String cannot fail.
        let _ = writeln!(yaml, "  {line}");
    }
    yaml
}

/// Sections with intervals of seconds, for a Prometheus that scrapes every second.
#[must_use]
pub fn quick_policy(prometheus: &str) -> String {
    format!(
        "metrics: {{address: \"{prometheus}\", interval: 1s}}
steps:
- {{weight: 10%, bake: 2s}}
- {{weight: 50%, bake: 2s}}
slos:
- {{name: availability, objective: 99%, availability: {{}}}}
- {{name: latency, objective: 95%, latency: {{threshold: 250ms}}}}
minRequests: 50
settle: 500ms
drainDelay: 2s
progressDeadline: 30s
rollbackWindow: 2
"
    )
}

/// Sections of `more` replace those of `policy`.
#[must_use]
pub fn merged(policy: &str, more: &str) -> String {
    let section = |line: &str| {
        let begins = line.starts_with(|c: char| c.is_ascii_alphabetic());
        begins.then(|| line.split(':').next().unwrap_or_default().to_owned())
    };
    let overridden: Vec<_> = more.lines().filter_map(section).collect();
    let mut kept = String::new();
    let mut skipping = false;
    for line in policy.lines() {
        if let Some(name) = section(line) {
            skipping = overridden.contains(&name);
        }
        if !skipping {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept + more
}

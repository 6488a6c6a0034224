//! Versions of the soak's apps: which are good, and what is wrong with the others.

use crate::stage::App;

/// What an app is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    /// Its number: answers say it, as `v3`.
    pub(super) number: u32,
    /// What is wrong with it.
    pub(super) fault: Option<Fault>,
    /// The text in its configuration, if it has one.
    pub(super) greeting: Option<u32>,
}

/// What is wrong with a bad version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// It answers this percentage of its requests with 500.
    Fails(u8),
    /// It answers after a second and a half.
    Slow,
    /// It ends right after its start, again and again.
    Crashes,
}

impl Version {
    /// The first version of an app.
    pub(super) fn first(configured: bool) -> Self {
        Self {
            number: 1,
            fault: None,
            greeting: configured.then_some(1),
        }
    }

    pub(super) fn is_good(self) -> bool {
        self.fault.is_none()
    }

    /// The tag of its image, which says how it behaves; see [`crate::app`].
    pub(super) fn tag(self) -> String {
        let name = self.name();
        match self.fault {
            None => name,
            Some(Fault::Fails(percent)) => format!("{name}-fail{percent}"),
            Some(Fault::Slow) => format!("{name}-slow1500"),
            Some(Fault::Crashes) => format!("{name}-crash"),
        }
    }

    /// What its answers say.
    pub(super) fn name(self) -> String {
        format!("v{}", self.number)
    }

    /// What Git holds of it.
    pub(super) fn app(self, name: &str) -> App {
        let mut app = App::new(name, &self.tag());
        // While pods of many apps come and go, proxies hear late of those that end: as in production.
        app.pre_stop = Some(3);
        match self.greeting {
            Some(greeting) => app.greets(&format!("hello {greeting}")),
            None => app,
        }
    }
}

/// Whether an image tag is that of a bad version.
pub(super) fn is_bad(tag: &str) -> bool {
    tag.contains('-')
}

/// The version that answers of a tag say: `v3` of `v3-fail40`.
pub(super) fn name_of(tag: &str) -> &str {
    tag.split('-').next().unwrap_or(tag)
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.tag())?;
        match self.greeting {
            Some(greeting) => write!(f, " with text {greeting}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Behaviour;

    #[test]
    fn tags_are_images_that_there_are() {
        for fault in [Fault::Fails(40), Fault::Slow, Fault::Crashes] {
            let version = Version {
                fault: Some(fault),
                ..Version::first(false)
            };
            let tag = version.tag();
            assert!(is_bad(&tag) && !version.is_good());
            assert_eq!(name_of(&tag), "v1");
            assert!(tag.parse::<Behaviour>().is_ok(), "{tag}");
        }
        assert!(!is_bad(&Version::first(true).tag()));
    }
}

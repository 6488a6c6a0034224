//! Labels that Sluice puts on what it makes, and the names by which the API server knows it.

/// The name of the Canary that an object belongs to.
///
/// Ownership is this label and not an owner reference: a foreground prune of the Canary must not
/// take what serves with it.
pub const CANARY: &str = "sluice.dev/canary";

/// The name of the revision that an object or a pod belongs to.
pub const REVISION: &str = "sluice.dev/revision";

/// Kubernetes' own label for the tool that manages an object; its value is [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`], and the field manager of every write.
pub const MANAGER: &str = "sluice";

/// The field manager of orders that a person gives by the command line.
pub const CLI_MANAGER: &str = "sluice-cli";

/// Keeps a Canary until its traffic has been handed back.
pub const FINALIZER: &str = "sluice.dev/finalizer";

/// The role of a pod, in strict mode: users' templates and the selector of their Service carry it with the
/// value [`SERVING`], and Sluice keeps it on the pods of the revision that serves.
pub const ROLE: &str = "sluice.dev/role";

/// The value of [`ROLE`] on pods that serve.
pub const SERVING: &str = "serving";

/// The value of [`ROLE`] on pods that served, or were made to by somebody else.
pub const STANDBY: &str = "standby";

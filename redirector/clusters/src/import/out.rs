//! Takes what is made into what is desired, and notes what changed.

use std::sync::Arc;

use redirector_kube::api::ObjectRef;

use super::desired::{Body, Changes, Conflict, Desired, DesiredKind, DesiredRef, Pace};

/// Where what is made goes.
#[derive(Debug)]
pub(super) struct Out<'o> {
    pub desired: &'o mut Desired,
    pub changes: &'o mut Changes,
}

impl Out<'_> {
    pub fn set(&mut self, kind: DesiredKind, object: &ObjectRef, made: Option<(Body, Pace)>) {
        self.set_named(kind, &object.namespace, &object.name, made);
    }

    pub fn set_named(
        &mut self,
        kind: DesiredKind,
        namespace: &Arc<str>,
        name: &str,
        made: Option<(Body, Pace)>,
    ) {
        let object = DesiredRef { kind, namespace: Arc::clone(namespace), name: name.into() };
        let (is_other, pace) = match made {
            Some((body, pace)) => {
                let is_other = self.desired.objects.get(&object) != Some(&body);
                if is_other {
                    self.desired.objects.insert(object.clone(), body);
                }
                (is_other, pace)
            }
            None => (self.desired.objects.remove(&object).is_some(), Pace::AtOnce),
        };
        if is_other {
            let before = self.changes.objects.entry(object).or_insert(pace);
            *before = pace.min(*before);
        }
    }

    pub fn conflict(&mut self, object: &ObjectRef, conflict: Option<Conflict>) {
        let conflicts = &mut self.desired.conflicts;
        let is_other = match conflict {
            Some(conflict) => {
                let is_other = conflicts.get(object) != Some(&conflict);
                conflicts.insert(object.clone(), conflict);
                is_other
            }
            None => conflicts.remove(object).is_some(),
        };
        if is_other {
            self.changes.conflicts.insert(object.clone());
        }
    }
}

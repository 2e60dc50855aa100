//! Whether a device still works. What goes wrong between two calls (a lost device, memory that ran out inside the
//! driver) is noted when it happens and told by the next call that waits.

use crate::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// The first trouble a device had.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<Mutex<Option<String>>>);

impl Health {
    /// Notes the troubles of a device from now on.
    pub fn watch(device: &wgpu::Device) -> Self {
        let health = Self::default();
        let (lost, failed) = (health.clone(), health.clone());
        device.set_device_lost_callback(move |_, why| lost.note(format!("it was lost: {why}")));
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            failed.note(error.to_string());
        }));
        health
    }

    fn note(&self, trouble: String) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert(trouble);
    }

    /// Refuses to go on with a device that had trouble.
    pub fn check(&self, name: &str) -> Result<()> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*noted {
            None => Ok(()),
            Some(trouble) => Err(Error::Device(format!(
                "{name}: {trouble}; a driver update, a smaller batch or a smaller crop size may help"
            ))),
        }
    }
}

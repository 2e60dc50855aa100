//! Running statistics estimated anew before a checkpoint.

use super::*;

impl Session {
    /// Estimates running statistics anew where that is wanted, once an iteration at most, and says whether they are as
    /// wanted: not if the run was to stop before the end, and then they are training's own. It follows from the weights
    /// alone, always over the same batches, so that runs which were stopped save the same.
    pub(super) fn recalibrate(&mut self, stop: &AtomicBool) -> Result<bool> {
        if self.calibrated_step == Some(self.progress.step) {
            return Ok(true);
        }
        let Some(mut calibration) = self.calibration.take() else {
            return Ok(true);
        };
        calibration.begin();
        let done = self.observe(&mut calibration, stop);
        self.calibration = Some(calibration);
        if done? {
            self.calibrated_step = Some(self.progress.step);
        }
        Ok(self.calibrated_step == Some(self.progress.step))
    }

    /// Takes the statistics of the wanted number of batches, of as many epochs as it takes, and puts their mean in place
    /// unless the run is to stop, by the flag or by order.
    pub(super) fn observe(
        &mut self,
        calibration: &mut Calibration,
        stop: &AtomicBool,
    ) -> Result<bool> {
        let per_epoch = self.batcher.batches_per_epoch();
        let mut order = Vec::new();
        for i in 0..self.config.train.recalibrate {
            if stop.load(Ordering::Relaxed) || self.orders.wants_stop() {
                return Ok(false);
            }
            let epoch = CALIBRATION_EPOCH - (i / per_epoch) as u64;
            if i.is_multiple_of(per_epoch) {
                order = self.batcher.order(epoch);
            }
            let batch = self.batcher.train(epoch, i % per_epoch, &order)?;
            let noise = self.noise("calibration", i as u64);
            let feed = Feed {
                photos: &batch.images,
                map: &batch.map,
                windows: &batch.windows,
                noise: [&noise, &[]],
            };
            self.trainer.observe(calibration, &feed)?;
        }
        self.trainer.recalibrate(calibration)?;
        Ok(true)
    }
}

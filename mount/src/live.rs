// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread that owns the machine in the image.
//!
//! A [`Machine`] keeps what it read last in cells that only one thread may use, and borrows the
//! image that it reads. Both suit a thread of its own: whatever is asked of the kernel's part is
//! sent there with its reply, in the order in which it was asked, and whoever serves requests
//! goes on with the next one. Reading memory, ranges and artifacts, of which there is far more,
//! needs no machine, and is done by all threads at once.

use crate::kernel::{Kernel, Wording};
use crate::part::Part;
use linpmem_inspect::Machine;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread;

/// What the machine is opened from. It moves to the thread that then owns both.
pub trait OpenMachine: Send {
    /// The machine.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn machine(&self) -> Result<Machine<'_>, String>;
}

type Job = Box<dyn FnOnce(&dyn Part) + Send>;

/// The way to the thread.
#[derive(Debug)]
pub struct Live {
    jobs: Sender<Job>,
}

impl Live {
    /// Starts the thread, which opens the machine; `wording` makes texts of what is found there.
    ///
    /// # Errors
    /// Why the kernel is not found, in words.
    pub fn start(
        source: Box<dyn OpenMachine>,
        wording: Box<dyn Wording + Send>,
    ) -> Result<Self, String> {
        let (jobs, inbox) = channel::<Job>();
        let (opened, answer) = sync_channel(1);
        let work = move || match source.machine() {
            Ok(machine) => {
                let kernel = Kernel::new(machine, &*wording);
                if opened.send(Ok(())).is_ok() {
                    for job in inbox {
                        kernel.renew();
                        job(&kernel);
                    }
                }
            }
            // Whoever waits for the answer is still there.
            Err(reason) => drop(opened.send(Err(reason))),
        };
        let thread = thread::Builder::new().name("kernel".to_owned());
        let thread = thread.spawn(work);
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        let answer = answer.recv();
        answer.map_err(|_| "the thread that opens the machine ended".to_owned())??;
        Ok(Self { jobs })
    }

    /// Has the thread do `job`. If it is gone, the job is dropped, and with it its reply, which
    /// then is an error.
    pub(crate) fn hand(&self, job: impl FnOnce(&dyn Part) + Send + 'static) {
        drop(self.jobs.send(Box::new(job)));
    }
}

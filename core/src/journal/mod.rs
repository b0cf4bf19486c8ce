//! The journal: what must outlive the process, as bytes on a disk (DESIGN §5). Records are appended
//! in order in frames with checksums, become durable together, and are replayed at the next start.
//! Nothing here opens a file: all goes through [`Disk`], which the server implements on files and
//! the simulator on a disk that tears, loses and refuses.
//!
//! ```text
//!  engine --Batch--> Writer: one frame a batch, one write a segment, one sync for all shards
//!                    0000000007.base  0000000008.seg  0000000009.seg (in use)  0000000010.seg (ready)
//!  start  <--------- scan: base, then segments in order; a torn tail is cut, damage refuses
//! ```
//! It must never repair silently, retry a sync that failed, or reserve memory for a length that it
//! merely read.

mod batch;
mod disk;
mod fold;
mod image;
mod load;
mod output;
mod partition;
mod record;
mod repair;
mod scan;
mod segment;
mod wire;
mod writer;

pub use batch::{Batch, Lsn};
pub use disk::{Disk, DiskError};
pub use fold::{Folded, Job, fold};
pub use image::{
    DeliveryImage, FlightImage, ForwardImage, Held, Image, RetainedImage, SessionImage, ShardImage,
    WillImage,
};
pub use load::{Place, load};
pub use output::Piece;
pub use record::{
    AttachedOp, BadRecord, DeliveryOp, FORMAT, ForwardOp, Op, StampOp, WillOp, decode_message,
    encode_put, for_each_op,
};
pub(crate) use record::{encode_body, put_message};
pub use repair::{Loss, Repaired, repair};
pub use scan::{Cut, Entry, ScanError, Scanned, scan};
pub use segment::{FileName, Position};
pub use writer::{Layout, Room, Writer};

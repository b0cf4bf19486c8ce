//! A journal of foreign bytes: whatever lies in the folder, the loader ends, without a panic and
//! without memory for what is merely announced; what it takes, it takes again after it was opened.
#![no_main]

use halyard_core::journal::{Disk, Layout, Writer, load};
use halyard_core::sim::SimDisk;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] =
    ["0000000001.base", "0000000001.seg", "0000000002.seg", "0000000003.seg.tmp"];

/// A small sound journal, so that changed bytes of it are met too.
fn sound(records: &[u8]) -> SimDisk {
    let layout = Layout { segment: 512, ready: 1, seed: 7, epoch: 1 };
    let mut writer =
        Writer::open(SimDisk::new(), &Default::default(), layout).expect("an empty disk");
    for (lsn, part) in (1..).zip(records.chunks(40)) {
        writer.append(0, halyard_core::journal::Lsn(lsn), part).expect("room");
        writer.sync().expect("a working disk");
        writer.prepare().expect("room");
    }
    writer.disk().clone()
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, data)) = data.split_first() else { return };
    let mut disk = if how & 1 == 0 { SimDisk::new() } else { sound(&data[..data.len().min(2000)]) };
    for (name, part) in NAMES.iter().zip(data.chunks(1 + data.len() / NAMES.len())) {
        if how & 2 == 0 && disk.bytes(name).is_none() {
            let Ok(file) = disk.create(name, 0) else { return };
            drop(disk.write_at(&file, 0, part));
        } else {
            disk.tamper(name, |bytes| {
                for pair in part.chunks_exact(3) {
                    let at = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= pair[2];
                    }
                }
            });
        }
    }
    let Ok((found, image)) = load::<_, Box<[u8]>>(&mut disk, &mut |_, bytes| bytes.into()) else {
        return;
    };
    let layout = Layout { segment: 512, ready: 1, seed: 9, epoch: 2 };
    let mut writer = Writer::open(disk, &found, layout).expect("what was read can be gone on with");
    let again = load::<_, Box<[u8]>>(writer.disk(), &mut |_, bytes| bytes.into());
    assert_eq!(again.expect("it was read before").1, image);
});

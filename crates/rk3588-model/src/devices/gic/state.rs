// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Interrupts: 16 software generated, 16 private, 448 shared; which of them may go to the core.

/// Interrupt numbers there are.
pub const INTERRUPTS: usize = 480;
/// Words of 32 interrupts.
pub const WORDS: usize = INTERRUPTS / 32;
/// First shared interrupt.
pub const FIRST_SHARED: u32 = 32;

/// Group of an interrupt, from its group and modifier bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Group 0: secure, for EL3.
    Zero,
    /// Group 1, secure.
    Secure,
    /// Group 1, non-secure: what the kernel uses.
    NonSecure,
}

/// A bit per interrupt.
pub type Bits = [u32; WORDS];

/// All interrupts.
#[derive(Debug)]
pub struct State {
    /// `GICD_IGROUPR`.
    pub group: Bits,
    /// `GICD_IGRPMODR`.
    pub modifier: Bits,
    /// `GICD_ISENABLER`.
    pub enabled: Bits,
    /// Latched pending bits: edges, and what software has set.
    pub latched: Bits,
    /// Levels of the inputs.
    pub level: Bits,
    /// `GICD_ISACTIVER`.
    pub active: Bits,
    /// One for edge-triggered interrupts.
    pub edge: Bits,
    /// Priorities, as the secure side sees them; the lower three bits do not exist.
    pub priority: Box<[u8; INTERRUPTS]>,
    /// `GICD_IROUTER`.
    pub route: Box<[u64; INTERRUPTS]>,
    /// Enables of group 0, group 1 non-secure, group 1 secure, as bits 0 to 2 of `GICD_CTLR`.
    pub group_enable: u32,
}

impl Default for State {
    fn default() -> Self {
        let mut edge = [0; WORDS];
        edge[0] = 0xffff; // software generated interrupts are edges
        Self {
            group: [0; WORDS],
            modifier: [0; WORDS],
            enabled: [0; WORDS],
            latched: [0; WORDS],
            level: [0; WORDS],
            active: [0; WORDS],
            edge,
            priority: Box::new([0; INTERRUPTS]),
            route: Box::new([0; INTERRUPTS]),
            group_enable: 0,
        }
    }
}

/// Bits 7:3 of a priority exist (GIC-600 with Cortex-A55 and A76: 5 bits).
pub const PRIORITY_MASK: u8 = 0xf8;

impl State {
    /// Changes an input; a rising edge of an edge-triggered interrupt is latched.
    pub fn set_level(&mut self, intid: u32, high: bool) {
        let (word, bit) = (intid as usize / 32, 1 << (intid % 32));
        let Some(level) = self.level.get_mut(word) else { return };
        let rising = high && *level & bit == 0;
        *level = if high { *level | bit } else { *level & !bit };
        if rising && self.edge[word] & bit != 0 {
            self.latched[word] |= bit;
        }
    }

    /// Takes the levels of 32 shared inputs at once.
    pub fn set_shared_levels(&mut self, word: usize, levels: u32) {
        if word + 1 >= WORDS {
            return;
        }
        let old = self.level[word + 1];
        self.latched[word + 1] |= levels & !old & self.edge[word + 1];
        self.level[word + 1] = levels;
    }

    /// Pending interrupts of a word: latched, or a level that is high.
    pub fn pending(&self, word: usize) -> u32 {
        self.latched[word] | self.level[word] & !self.edge[word]
    }

    /// Group of an interrupt.
    pub fn group_of(&self, intid: u32) -> Group {
        let (word, bit) = (intid as usize / 32, 1 << (intid % 32));
        match (self.group[word] & bit != 0, self.modifier[word] & bit != 0) {
            (true, _) => Group::NonSecure,
            (false, true) => Group::Secure,
            (false, false) => Group::Zero,
        }
    }

    /// Mask of the interrupts of a word whose group the distributor forwards.
    fn forwarded(&self, word: usize) -> u32 {
        let (group, modifier) = (self.group[word], self.modifier[word]);
        let on = |bit: u32| if self.group_enable & bit != 0 { u32::MAX } else { 0 };
        on(1) & !group & !modifier | on(2) & group | on(4) & !group & modifier
    }

    /// The pending interrupt of highest priority that the distributor forwards to the first core.
    pub fn best(&self, wanted: impl Fn(Group) -> bool) -> Option<(u32, u8)> {
        let mut best: Option<(u32, u8)> = None;
        for word in 0..WORDS {
            let mut ready =
                self.pending(word) & self.enabled[word] & !self.active[word] & self.forwarded(word);
            while ready != 0 {
                let intid = word as u32 * 32 + ready.trailing_zeros();
                ready &= ready - 1;
                let priority = self.priority[intid as usize];
                if best.is_none_or(|(_, p)| priority < p)
                    && wanted(self.group_of(intid))
                    && self.reaches_first_core(intid)
                {
                    best = Some((intid, priority));
                }
            }
        }
        best
    }

    /// Shared interrupts go where `GICD_IROUTER` says: affinity 0 is the core that runs, bit 31 is "any".
    fn reaches_first_core(&self, intid: u32) -> bool {
        let route = self.route[intid as usize];
        intid < FIRST_SHARED || route & 1 << 31 != 0 || route & 0xff_00ff_ffff == 0
    }

    /// The core takes an interrupt: active, and no longer pending by a latch.
    pub fn acknowledge(&mut self, intid: u32) {
        let (word, bit) = (intid as usize / 32, 1 << (intid % 32));
        self.active[word] |= bit;
        self.latched[word] &= !bit;
    }

    /// The core is done with an interrupt.
    pub fn deactivate(&mut self, intid: u32) {
        if let Some(word) = self.active.get_mut(intid as usize / 32) {
            *word &= !(1 << (intid % 32));
        }
    }
}

//! Where things are: the shared time axis, and how far down the drawing has come.

pub const WIDTH: f64 = 960.0;
pub const LEFT: f64 = 64.0;
pub const RIGHT: f64 = 16.0;

pub struct Frame {
    pub from: f64,
    pub until: f64,
    /// The next free line.
    pub y: f64,
}

impl Frame {
    pub fn new(from: f64, until: f64) -> Self {
        Self { from, until: until.max(from + 1.0), y: 4.0 }
    }

    pub fn x(&self, seconds: f64) -> f64 {
        let share = (seconds.clamp(self.from, self.until) - self.from) / (self.until - self.from);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }
}

/// About how wide a text is; a little more is better than an overlap.
pub fn width(text: &str) -> f64 {
    text.chars().map(|letter| if letter.is_ascii() { 6.3 } else { 9.0 }).sum()
}

/// Bars with their labels in as few lanes as are needed so that none covers another.
#[derive(Default)]
pub struct Lanes {
    ends: Vec<f64>,
}

/// Where a bar goes, and its label.
pub struct Spot {
    pub lane: usize,
    pub text: f64,
    pub anchor: &'static str,
}

impl Lanes {
    /// A label that is wider than its bar goes on beside it, to the left where the picture ends.
    pub fn place(&mut self, from: f64, until: f64, label: &str) -> Spot {
        let wide = width(label) + 10.0;
        let inside = from + wide <= WIDTH;
        let (taken_from, taken_until) =
            if inside { (from, until.max(from + wide)) } else { (from - wide, until) };
        let lane = self.ends.iter().position(|end| *end <= taken_from + 0.5).unwrap_or(self.ends.len());
        if lane == self.ends.len() {
            self.ends.push(taken_until);
        } else {
            self.ends[lane] = taken_until;
        }
        let (text, anchor) = if inside { (from + 5.0, "start") } else { (from - 4.0, "end") };
        Spot { lane, text, anchor }
    }

    pub fn count(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_share_a_lane_only_where_their_labels_have_room() {
        let mut lanes = Lanes::default();
        let places = [(100.0, 110.0, "a rather long label"), (150.0, 160.0, "b"), (300.0, 400.0, "c")];
        let found = places.map(|(from, until, label)| lanes.place(from, until, label).lane);
        assert_eq!((found, lanes.count()), ([0, 1, 0], 2));
    }

    #[test]
    fn a_label_never_leaves_the_picture() {
        let spot = Lanes::default().place(WIDTH - 20.0, WIDTH - 10.0, "not so short");
        assert_eq!((spot.anchor, spot.text), ("end", WIDTH - 24.0));
    }
}

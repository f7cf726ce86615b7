//! What happened in order: a lane for each who acted, a mark for each thing that happened, where none covers another.

use askama::Template;

use crate::text::Shown;

/// Width of the picture where nothing needs more, and of the names before it.
const WIDTH: i64 = 860;
const NAMES: i64 = 200;
/// Width that a mark takes, and height of a row of them.
const MARK: i64 = 20;
const ROW: usize = 22;
/// Rows of one lane: with more that happened at once, the later ones move to the right.
const ROWS: usize = 4;
const LANES: usize = 60;
/// Above it, what is close together is one mark.
const SINGLE_MAX: usize = 60;

/// One thing that happened.
pub(crate) struct Mark {
    pub(crate) lane: String,
    /// When, in microseconds.
    pub(crate) at: i64,
    pub(crate) class: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) title: String,
    pub(crate) href: String,
    /// Where its row of the table is.
    pub(crate) row: String,
}

struct Drawn {
    x: i64,
    row: usize,
    class: &'static str,
    sign: String,
    title: String,
    href: String,
    /// Where its row of the table is.
    at_table: String,
    count: usize,
}

impl Drawn {
    fn y(&self, lane: &Lane) -> usize {
        lane.y + self.row * ROW
    }

    fn shown(&self) -> Shown {
        Shown::line(&self.title)
    }
}

struct Lane {
    y: usize,
    rows: usize,
    name: Shown,
    marks: Vec<Drawn>,
}

/// The picture. Its table is beside it.
#[derive(Template)]
#[template(path = "pictures/timeline.html")]
pub(crate) struct Timeline {
    width: i64,
    height: usize,
    from: i64,
    start: String,
    end: String,
    lanes: Vec<Lane>,
    title: Shown,
    grouped: bool,
}

impl Timeline {
    /// - `ends`: the times of its first and last mark, in words.
    /// - `marks`: in order.
    pub(crate) fn new(title: &str, ends: [String; 2], marks: Vec<Mark>) -> Self {
        let first = marks.first().map_or(0, |m| m.at);
        let whole = marks.last().map_or(1, |m| (m.at - first).max(1));
        let place =
            |at: i64| NAMES + (at - first).saturating_mul(WIDTH - NAMES - MARK - 8) / whole + 8;
        let grouped = marks.len() > SINGLE_MAX;
        let mut lanes: Vec<(String, Vec<Drawn>)> = Vec::new();
        for mark in marks {
            let x = place(mark.at);
            let at = lanes.iter().position(|(name, _)| *name == mark.lane);
            let at = at.unwrap_or_else(|| {
                lanes.push((mark.lane.clone(), Vec::new()));
                lanes.len() - 1
            });
            let Some((_, lane)) = lanes.get_mut(at) else {
                continue;
            };
            match lane.last_mut() {
                Some(last) if grouped && x - last.x < MARK => join(last, &mark),
                _ => lane.push(Drawn {
                    x,
                    row: 0,
                    class: mark.class,
                    sign: mark.sign.to_owned(),
                    title: mark.title,
                    href: mark.href,
                    at_table: mark.row,
                    count: 1,
                }),
            }
        }
        lanes.truncate(LANES);
        let mut y = 28;
        let lanes: Vec<Lane> = lanes
            .into_iter()
            .map(|(name, mut marks)| {
                let rows = spread(&mut marks);
                let lane = Lane {
                    y,
                    rows,
                    name: Shown::line(name.chars().take(26).collect::<String>()),
                    marks,
                };
                y += rows * ROW + 12;
                lane
            })
            .collect();
        let right = lanes
            .iter()
            .flat_map(|l| &l.marks)
            .map(|m| m.x + MARK)
            .max();
        let [start, end] = ends;
        Self {
            width: right.unwrap_or(WIDTH).max(WIDTH),
            height: y + 4,
            from: NAMES,
            start,
            end,
            lanes,
            title: Shown::line(title),
            grouped,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

/// One mark for several things: the worst of them, and how many.
fn join(into: &mut Drawn, one: &Mark) {
    let weight = |class: &str| {
        ["plain", "good", "warn", "bad"]
            .iter()
            .position(|c| *c == class)
    };
    into.count += 1;
    if weight(one.class) > weight(into.class) {
        into.class = one.class;
    }
    if into.count == 2 {
        into.href = std::mem::take(&mut into.at_table);
        into.title = format!("from {}", into.title);
    }
    into.sign = if into.count < 100 {
        into.count.to_string()
    } else {
        "99+".to_owned()
    };
}

/// Puts marks into rows so that none covers another, and says how many rows that took.
fn spread(marks: &mut [Drawn]) -> usize {
    let mut free = [i64::MIN; ROWS];
    let mut used = 1;
    for mark in marks {
        let fits = free.iter().position(|from| *from <= mark.x);
        let soonest = || {
            free.iter()
                .enumerate()
                .min_by_key(|(_, from)| **from)
                .map_or(0, |(at, _)| at)
        };
        let row = fits.unwrap_or_else(soonest);
        if let Some(from) = free.get_mut(row) {
            mark.x = mark.x.max(*from);
            *from = mark.x + MARK;
        }
        mark.row = row;
        used = used.max(row + 1);
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(at: impl IntoIterator<Item = i64>) -> Vec<Mark> {
        at.into_iter()
            .map(|at| Mark {
                lane: format!("agent {}", at % 2),
                at,
                class: if at == 7 { "bad" } else { "good" },
                sign: "✓",
                title: "<b>".to_owned(),
                href: "/decisions/x".to_owned(),
                row: format!("#e{at}"),
            })
            .collect()
    }

    fn drawn(marks: Vec<Mark>) -> Timeline {
        let picture = Timeline::new("t", [String::new(), String::new()], marks);
        for lane in &picture.lanes {
            for (at, one) in lane.marks.iter().enumerate() {
                assert!(one.x + MARK <= picture.width && one.y(lane) < picture.height);
                for other in lane.marks.iter().skip(at + 1) {
                    let covers = (one.x - other.x).abs() < MARK && one.row == other.row;
                    assert!(!covers, "{} {}", one.x, other.x);
                }
            }
        }
        picture
    }

    #[test]
    fn no_mark_covers_another_and_many_are_grouped() {
        let close = drawn(marks((0..59).chain([1_000_000])));
        let all: usize = close.lanes.iter().map(|l| l.marks.len()).sum();
        assert_eq!(all, 60, "each by itself");
        let many = drawn(marks(0..5_000));
        let all: usize = many.lanes.iter().map(|l| l.marks.len()).sum();
        let count: usize = many
            .lanes
            .iter()
            .flat_map(|l| &l.marks)
            .map(|m| m.count)
            .sum();
        assert!(all <= 2 * 34, "{all}");
        assert_eq!((count, many.width), (5_000, WIDTH));
        assert_eq!(many.lanes[1].marks[0].class, "bad", "the worst is shown");
        assert!(many.lanes[0].marks[0].href.starts_with("#e"));
        assert!(!many.render().unwrap().contains("<b>"));
        assert!(drawn(Vec::new()).is_empty());
    }
}

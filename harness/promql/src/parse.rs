//! From text to a checked query: the parser's tree is taken over into types that hold only what is evaluated.

use crate::expr::{
    Aggregator, Cardinality, Expr, Grouping, MapFunction, Matcher, Matching, Number, Operation, Pattern,
    RangeFunction, Selector, Test,
};
use crate::labels::METRIC_NAME;
use crate::names::{self, AGGREGATORS, MAP_FUNCTIONS, RANGE_FUNCTIONS};
use crate::query::Refused;
use crate::scan;
use promql_parser::label::{MatchOp, Matcher as Matched};
use promql_parser::parser::{
    self, AggregateExpr, BinModifier, BinaryExpr, Call, Expr as Syntax, LabelModifier, Offset,
    VectorMatchCardinality, VectorSelector,
};
use std::time::Duration;

pub(crate) fn expression(text: &str) -> Result<Expr, Refused> {
    scan::refuse_unsupported(text)?;
    let syntax = parser::parse(text).map_err(Refused::whole)?;
    let reader = Reader { text };
    reader.read(&syntax)
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    /// A refusal at the first place where a word stands.
    fn refuse(&self, what: impl Into<String>, word: &str) -> Refused {
        Refused { what: what.into(), at: self.text.find(word) }
    }

    fn read(&self, syntax: &Syntax) -> Result<Expr, Refused> {
        match syntax {
            Syntax::NumberLiteral(literal) => Ok(Expr::Number(Number(literal.val))),
            Syntax::VectorSelector(selector) => Ok(Expr::Select(self.selector(selector)?)),
            Syntax::Paren(paren) => self.read(&paren.expr),
            Syntax::Unary(unary) => Ok(match self.read(&unary.expr)? {
                Expr::Number(number) => Expr::Number(Number(-number.0)),
                inner => Expr::Negate(Box::new(inner)),
            }),
            Syntax::Binary(binary) => self.binary(binary),
            Syntax::Aggregate(aggregate) => self.aggregate(aggregate),
            Syntax::Call(call) => self.call(call),
            Syntax::MatrixSelector(_) => Err(self.refuse("a range stands where no function takes it", "[")),
            Syntax::StringLiteral(_) => Err(Refused::whole("a string stands where a value is needed")),
            Syntax::Subquery(_) => Err(self.refuse("subqueries are not supported", "[")),
            Syntax::Extension(extension) => {
                Err(Refused::whole(format!("`{}` is not supported", extension.expr.name())))
            }
        }
    }

    fn vector(&self, syntax: &Syntax) -> Result<Expr, Refused> {
        let expr = self.read(syntax)?;
        if expr.is_scalar() {
            return Err(Refused::whole(format!("`{expr}` is a scalar where a vector is needed")));
        }
        Ok(expr)
    }

    fn scalar(&self, syntax: &Syntax) -> Result<Expr, Refused> {
        let expr = self.read(syntax)?;
        if !expr.is_scalar() {
            return Err(Refused::whole(format!("`{expr}` is a vector where a scalar is needed")));
        }
        Ok(expr)
    }

    fn selector(&self, syntax: &VectorSelector) -> Result<Selector, Refused> {
        if syntax.at.is_some() {
            return Err(self.refuse("the modifier `@` is not supported", "@"));
        }
        if !syntax.matchers.or_matchers.is_empty() {
            return Err(self.refuse("`or` between matchers is not supported", " or "));
        }
        let named = syntax
            .name
            .iter()
            .map(|name| Ok(Matcher { name: METRIC_NAME.to_owned(), test: Test::Equal(name.clone()) }));
        let others = syntax.matchers.matchers.iter().map(|matched| self.matcher(matched));
        let matchers = named.chain(others).collect::<Result<Vec<_>, _>>()?;
        if matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(Refused::whole("a selector must name a metric or a label that is not empty"));
        }
        let offset_ms = match &syntax.offset {
            None => 0,
            Some(Offset::Pos(duration)) => milliseconds(duration)?,
            Some(Offset::Neg(duration)) => -milliseconds(duration)?,
        };
        Ok(Selector { matchers, offset_ms })
    }

    fn matcher(&self, matched: &Matched) -> Result<Matcher, Refused> {
        let value = &matched.value;
        let pattern = || {
            Pattern::new(value)
                .map_err(|_| self.refuse(format!("`{value}` is no valid regular expression"), value))
        };
        let test = match &matched.op {
            MatchOp::Equal => Test::Equal(value.clone()),
            MatchOp::NotEqual => Test::NotEqual(value.clone()),
            MatchOp::Re(_) => Test::Matches(pattern()?),
            MatchOp::NotRe(_) => Test::NotMatches(pattern()?),
        };
        Ok(Matcher { name: matched.name.clone(), test })
    }

    fn binary(&self, binary: &BinaryExpr) -> Result<Expr, Refused> {
        let operator = binary.op.to_string();
        let operation = names::operation(&operator, binary.return_bool())
            .ok_or_else(|| self.refuse(format!("the operator `{operator}` is not supported"), &operator))?;
        let left = Box::new(self.read(&binary.lhs)?);
        let right = Box::new(self.read(&binary.rhs)?);
        let matching =
            binary.modifier.as_ref().map_or(Ok(Matching::plain()), |found| self.matching(found))?;
        let both_vectors = !left.is_scalar() && !right.is_scalar();
        let is_set = matches!(operation, Operation::Set(_));
        if !both_vectors && (is_set || matching != Matching::plain()) {
            let what = format!("`{operator}` can match labels only between two vectors");
            return Err(self.refuse(what, &operator));
        }
        if is_set && matching.cardinality != Cardinality::OneToOne {
            return Err(self.refuse(format!("`{operator}` knows no grouping"), &operator));
        }
        let compares = matches!(operation, Operation::Compare { as_bool: false, .. });
        if compares && left.is_scalar() && right.is_scalar() {
            return Err(self.refuse(format!("`{operator}` between scalars needs `bool`"), &operator));
        }
        Ok(Expr::Binary { operation, left, right, matching })
    }

    fn matching(&self, modifier: &BinModifier) -> Result<Matching, Refused> {
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return Err(self.refuse("the modifier `fill` is not supported", "fill"));
        }
        let on = modifier.matching.as_ref().map_or(Grouping::Except(Vec::new()), grouping);
        let cardinality = match &modifier.card {
            VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => Cardinality::OneToOne,
            VectorMatchCardinality::ManyToOne(labels) => Cardinality::ManyToOne(labels.labels.clone()),
            VectorMatchCardinality::OneToMany(labels) => Cardinality::OneToMany(labels.labels.clone()),
        };
        Ok(Matching { on, cardinality })
    }

    fn aggregate(&self, aggregate: &AggregateExpr) -> Result<Expr, Refused> {
        let name = aggregate.op.to_string();
        let aggregator = names::find(&AGGREGATORS, &name)
            .ok_or_else(|| self.refuse(format!("the aggregation `{name}` is not supported"), &name))?;
        let takes_one = matches!(aggregator, Aggregator::Topk | Aggregator::Bottomk | Aggregator::Quantile);
        let parameter = aggregate.param.as_ref().filter(|_| takes_one);
        let parameter = parameter.map(|parameter| self.scalar(parameter)).transpose()?.map(Box::new);
        if takes_one && parameter.is_none() {
            return Err(self.refuse(format!("`{name}` needs a number before its vector"), &name));
        }
        let vector = Box::new(self.vector(&aggregate.expr)?);
        let grouping = aggregate.modifier.as_ref().map_or(Grouping::Only(Vec::new()), grouping);
        Ok(Expr::Aggregate { aggregator, parameter, vector, grouping })
    }

    fn call(&self, call: &Call) -> Result<Expr, Refused> {
        let name = call.func.name;
        let arguments: Vec<&Syntax> = call.args.args.iter().map(Box::as_ref).collect();
        if let Some(function) = names::find(&RANGE_FUNCTIONS, name) {
            return self.over(function, name, &arguments);
        }
        if let Some(function) = names::find(&MAP_FUNCTIONS, name) {
            return self.map(function, name, &arguments);
        }
        let boxed = |expr: Expr| Box::new(expr);
        match (name, arguments.as_slice()) {
            ("time", []) => Ok(Expr::Time),
            ("vector", [scalar]) => Ok(Expr::ToVector(self.scalar(scalar).map(boxed)?)),
            ("scalar", [vector]) => Ok(Expr::ToScalar(self.vector(vector).map(boxed)?)),
            ("absent", [vector]) => Ok(Expr::Absent(self.vector(vector).map(boxed)?)),
            ("sort", [vector]) => {
                Ok(Expr::Sort { vector: self.vector(vector).map(boxed)?, descending: false })
            }
            ("sort_desc", [vector]) => {
                Ok(Expr::Sort { vector: self.vector(vector).map(boxed)?, descending: true })
            }
            ("histogram_quantile", [quantile, buckets]) => Ok(Expr::HistogramQuantile {
                quantile: self.scalar(quantile).map(boxed)?,
                buckets: self.vector(buckets).map(boxed)?,
            }),
            ("label_replace", [vector, target, replacement, source, pattern]) => {
                let pattern = self.string(pattern, name)?;
                Ok(Expr::LabelReplace {
                    vector: self.vector(vector).map(boxed)?,
                    target: self.label(target, name)?,
                    replacement: self.string(replacement, name)?,
                    source: self.string(source, name)?,
                    pattern: Pattern::new(&pattern).map_err(|_| {
                        self.refuse(format!("`{pattern}` is no valid regular expression"), &pattern)
                    })?,
                })
            }
            ("label_join", [vector, target, separator, sources @ ..]) => Ok(Expr::LabelJoin {
                vector: self.vector(vector).map(boxed)?,
                target: self.label(target, name)?,
                separator: self.string(separator, name)?,
                sources: sources.iter().map(|source| self.string(source, name)).collect::<Result<_, _>>()?,
            }),
            _ => Err(self.refuse(format!("the function `{name}` is not supported in this form"), name)),
        }
    }

    fn over(&self, function: RangeFunction, name: &str, arguments: &[&Syntax]) -> Result<Expr, Refused> {
        let (parameter, range) = match (function, arguments) {
            (RangeFunction::Quantile, [parameter, range]) => {
                (Some(Box::new(self.scalar(parameter)?)), *range)
            }
            (_, [range]) if function != RangeFunction::Quantile => (None, *range),
            _ => return Err(self.refuse(format!("`{name}` has a wrong number of arguments"), name)),
        };
        let range = strip_parentheses(range);
        let Syntax::MatrixSelector(matrix) = range else {
            return Err(self.refuse(format!("`{name}` needs a range, such as `x[5s]`"), name));
        };
        let range_ms = milliseconds(&matrix.range)?;
        if range_ms == 0 {
            return Err(self.refuse("a range must be at least one millisecond", "["));
        }
        Ok(Expr::Over { function, parameter, selector: self.selector(&matrix.vs)?, range_ms })
    }

    fn map(&self, function: MapFunction, name: &str, arguments: &[&Syntax]) -> Result<Expr, Refused> {
        let (fewest, most) = match function {
            MapFunction::Clamp => (2, 2),
            MapFunction::ClampMin | MapFunction::ClampMax => (1, 1),
            MapFunction::Round => (0, 1),
            _ => (0, 0),
        };
        match arguments {
            [vector, parameters @ ..] if (fewest..=most).contains(&parameters.len()) => {
                let parameters =
                    parameters.iter().map(|parameter| self.scalar(parameter)).collect::<Result<_, _>>()?;
                Ok(Expr::Map { function, vector: Box::new(self.vector(vector)?), parameters })
            }
            _ => Err(self.refuse(format!("`{name}` has a wrong number of arguments"), name)),
        }
    }

    fn string(&self, syntax: &Syntax, name: &str) -> Result<String, Refused> {
        match strip_parentheses(syntax) {
            Syntax::StringLiteral(literal) => Ok(literal.val.clone()),
            _ => Err(self.refuse(format!("`{name}` needs a string here"), name)),
        }
    }

    fn label(&self, syntax: &Syntax, name: &str) -> Result<String, Refused> {
        let label = self.string(syntax, name)?;
        if label.is_empty() {
            return Err(self.refuse(format!("`{name}` needs the name of a label to write to"), name));
        }
        Ok(label)
    }
}

fn strip_parentheses(syntax: &Syntax) -> &Syntax {
    match syntax {
        Syntax::Paren(paren) => strip_parentheses(&paren.expr),
        other => other,
    }
}

fn grouping(modifier: &LabelModifier) -> Grouping {
    match modifier {
        LabelModifier::Include(labels) => Grouping::Only(labels.labels.clone()),
        LabelModifier::Exclude(labels) => Grouping::Except(labels.labels.clone()),
    }
}

fn milliseconds(duration: &Duration) -> Result<i64, Refused> {
    i64::try_from(duration.as_millis()).map_err(|_| Refused::whole(format!("{duration:?} is too long")))
}

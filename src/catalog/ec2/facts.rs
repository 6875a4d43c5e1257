//! The bundled table of EC2 types, read once.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use super::labels;
use crate::catalog::CapacityType;
use crate::units::MicroUsd;

/// Of the table.
pub(super) const COLUMNS: usize = 27;

const BUNDLED: &str = include_str!("../data/ec2_types.tsv");

/// All EC2 instance types of a table, sorted by name.
#[derive(Debug, Clone)]
pub struct Ec2Facts {
    types: Vec<Ec2Type>,
}

/// What is true of an instance type whatever the node class.
#[derive(Debug, Clone)]
pub struct Ec2Type {
    pub name: Arc<str>,
    /// `amd64` or `arm64`.
    pub arch: Arc<str>,
    pub vcpus: i64,
    pub memory_mib: i64,
    /// `nitro`, `xen`, or empty for bare metal.
    pub hypervisor: Arc<str>,
    pub local_nvme_gb: Option<i64>,
    pub gpu: Option<Gpu>,
    /// AWS Neuron devices and the cores of all of them.
    pub neuron_devices: i64,
    pub neuron_cores: i64,
    pub efa_interfaces: i64,
    pub network_cards: i64,
    /// Interfaces of each network card.
    pub interfaces_per_card: i64,
    pub ipv4_per_interface: i64,
    /// Branch interfaces for security groups of pods; 0 where the type cannot trunk.
    pub branch_interfaces: i64,
    /// Strategies of placement groups in which it can be; empty where nobody has said, as the bundled table does not.
    pub(super) placement_strategies: BTreeSet<Arc<str>>,
    /// How it is sold, as EC2 calls it; empty where nobody has said.
    pub(super) usage_classes: BTreeSet<Arc<str>>,
    /// Labels that follow from the type alone.
    pub(super) labels: labels::TypeLabels,
    pub(super) prices: [Option<MicroUsd>; 4],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    pub manufacturer: Arc<str>,
    pub count: i64,
}

/// The regions whose on-demand prices are bundled, in the order of the table's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceTable {
    UsEast1,
    UsGovWest1,
    UsGovEast1,
    /// In yuan.
    CnNorth1,
}

impl PriceTable {
    #[must_use]
    pub fn of_region(region: &str) -> Option<Self> {
        match region {
            "us-east-1" => Some(Self::UsEast1),
            "us-gov-west-1" => Some(Self::UsGovWest1),
            "us-gov-east-1" => Some(Self::UsGovEast1),
            "cn-north-1" => Some(Self::CnNorth1),
            _ => None,
        }
    }
}

/// A line of the table that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read EC2 facts: line {line}: {reason}")]
pub struct FactsError {
    pub line: usize,
    pub reason: String,
}

impl Ec2Type {
    #[must_use]
    pub fn price(&self, table: PriceTable) -> Option<MicroUsd> {
        self.prices[table as usize]
    }

    /// Whether it can be in a placement group of this strategy, as far as is known.
    #[must_use]
    pub fn may_be_placed(&self, strategy: &str) -> bool {
        self.placement_strategies.is_empty() || self.placement_strategies.contains(strategy)
    }

    /// Whether it is sold so, as far as is known. What is reserved is paid for already, whatever EC2 says.
    #[must_use]
    pub fn is_sold_as(&self, capacity_type: CapacityType) -> bool {
        let is_known = self.usage_classes.is_empty() || self.usage_classes.contains(capacity_type.label());
        is_known || capacity_type == CapacityType::Reserved
    }
}

impl Ec2Facts {
    /// The table that is part of the program.
    #[must_use]
    pub fn bundled() -> &'static Self {
        static FACTS: LazyLock<Ec2Facts> = LazyLock::new(Ec2Facts::parse_bundled);
        &FACTS
    }

    /// Reads the table that is part of the program anew; [`Self::bundled`] does so once.
    #[must_use]
    pub fn parse_bundled() -> Self {
        Self::parse(BUNDLED).expect("the bundled table is well-formed, as a test checks")
    }

    /// Types that are sorted by name.
    pub(super) fn of(types: Vec<Ec2Type>) -> Self {
        Self { types }
    }

    #[must_use]
    pub fn types(&self) -> &[Ec2Type] {
        &self.types
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Ec2Type> {
        self.types.binary_search_by(|t| (*t.name).cmp(name)).ok().map(|i| &self.types[i])
    }

    /// Reads the format of `data/ec2_types.tsv`: a header and one type a line, sorted by name.
    ///
    /// # Errors
    /// The first line with a missing column, a number that is none, or a name out of order.
    pub fn parse(table: &str) -> Result<Self, FactsError> {
        let mut types: Vec<Ec2Type> = Vec::with_capacity(1_400);
        let mut interner = labels::Interner::default();
        for (i, text) in table.lines().enumerate().skip(1) {
            let fail = |reason: String| FactsError { line: i + 1, reason };
            let cells: Vec<&str> = text.split('\t').collect();
            let row: [&str; COLUMNS] =
                cells.as_slice().try_into().map_err(|_| fail(format!("{} columns", cells.len())))?;
            let ec2_type = read(&row, &mut interner).map_err(fail)?;
            if types.last().is_some_and(|last| last.name >= ec2_type.name) {
                return Err(fail(format!("{} is out of order", ec2_type.name)));
            }
            types.push(ec2_type);
        }
        Ok(Self { types })
    }
}

pub(super) fn read(row: &[&str; COLUMNS], interner: &mut labels::Interner) -> Result<Ec2Type, String> {
    let [name, arch, vcpus, memory, cpu_manufacturer, clock, ebs, network, encryption, hypervisor, nvme, ..] = *row;
    let [
        ..,
        gpu_name,
        gpu_manufacturer,
        gpu_count,
        gpu_mib,
        acc_name,
        acc_manufacturer,
        acc_count,
        cores,
        efa,
        cards,
        ipv4,
        branch,
        us_east,
        gov_west,
        gov_east,
        cn_north,
    ] = *row;
    let (network_cards, interfaces_per_card) =
        cards.split_once('x').ok_or_else(|| format!("'{cards}' is not cards x interfaces"))?;
    let gpu = (!gpu_count.is_empty())
        .then(|| Ok::<_, String>(Gpu { manufacturer: interner.value(gpu_manufacturer), count: number(gpu_count)? }))
        .transpose()?;
    let price = |cell| Ok::<_, String>(optional(cell)?.map(MicroUsd));
    let columns = [
        vcpus,
        memory,
        cpu_manufacturer,
        clock,
        ebs,
        network,
        encryption,
        nvme,
        gpu_name,
        gpu_manufacturer,
        gpu_count,
        gpu_mib,
        acc_name,
        acc_manufacturer,
        acc_count,
    ];
    Ok(Ec2Type {
        name: interner.value(name),
        arch: interner.value(arch),
        vcpus: number(vcpus)?,
        memory_mib: number(memory)?,
        hypervisor: interner.value(hypervisor),
        local_nvme_gb: optional(nvme)?,
        gpu,
        neuron_devices: if acc_manufacturer == "aws" { number(acc_count)? } else { 0 },
        neuron_cores: optional(cores)?.unwrap_or(0),
        efa_interfaces: optional(efa)?.unwrap_or(0),
        network_cards: number(network_cards)?,
        interfaces_per_card: number(interfaces_per_card)?,
        ipv4_per_interface: number(ipv4)?,
        branch_interfaces: number(branch)?,
        placement_strategies: BTreeSet::new(),
        usage_classes: BTreeSet::new(),
        labels: labels::TypeLabels::read(name, arch, hypervisor, columns, interner),
        prices: [price(us_east)?, price(gov_west)?, price(gov_east)?, price(cn_north)?],
    })
}

fn number(cell: &str) -> Result<i64, String> {
    cell.parse().map_err(|_| format!("'{cell}' is not a number"))
}

fn optional(cell: &str) -> Result<Option<i64>, String> {
    if cell.is_empty() { Ok(None) } else { number(cell).map(Some) }
}

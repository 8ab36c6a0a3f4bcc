-- The tables and views for people. Schema raw has one table for each kind of event, made from the event schema; what is here
-- gives them names, joins them and counts. Each statement ends with a semicolon at the end of a line.

CREATE VIEW vmruns AS
SELECT * REPLACE (clean_bits::UBIGINT AS clean_bits) FROM raw.vmrun;
COMMENT ON VIEW vmruns IS 'VMRUN: one row for each entry into a guest';

CREATE TABLE exits AS
SELECT
    row_number() OVER (ORDER BY x.sequence) - 1 AS exit_number,
    x.sequence,
    x.vcpu_id,
    x.insn_count,
    x.time_ns,
    coalesce(n.name, '0x' || lower(to_hex(x.exit_code))) AS exit_reason,
    x.exit_code,
    x.guest_rip,
    x.info1,
    x.info2,
    x.intr_info::UBIGINT AS intr_info,
    CASE WHEN (x.intr_info & 2048) <> 0 THEN x.error_code::UBIGINT END AS error_code,
    nullif(x.nrip, 0) AS nrip,
    x.cpl,
    x.guest_instructions,
    x.guest_ns,
    r.host_instructions,
    r.host_ns,
    lead(r.insn_count) OVER same_guest - x.insn_count AS handling_instructions,
    lead(r.time_ns) OVER same_guest - x.time_ns AS handling_ns,
    x.vmrun_sequence,
    r.insn_count AS vmrun_insn_count,
    r.guest_rip AS entry_rip,
    x.vmcb,
    r.asid,
    x.rax,
    x.rsp,
    x.rflags,
    x.cr3
FROM raw.vmexit x
LEFT JOIN raw.vmrun r ON r.sequence = x.vmrun_sequence
LEFT JOIN internal.exit_reason n ON n.exit_code = x.exit_code
WINDOW same_guest AS (PARTITION BY x.vcpu_id, x.vmcb ORDER BY x.sequence)
ORDER BY x.sequence;
COMMENT ON TABLE exits IS 'One row for each VMRUN/#VMEXIT pair';
COMMENT ON COLUMN exits.exit_number IS 'Number of the exit in the trace, from 0';
COMMENT ON COLUMN exits.sequence IS 'Number of the vmexit event in the trace, from 0';
COMMENT ON COLUMN exits.vcpu_id IS 'Virtual processor of the recorded machine, from 0';
COMMENT ON COLUMN exits.insn_count IS 'Instructions retired by the machine since power-on, at the exit';
COMMENT ON COLUMN exits.time_ns IS 'Virtual time in nanoseconds since power-on, at the exit';
COMMENT ON COLUMN exits.exit_reason IS 'EXITCODE by the name that KVM gives it';
COMMENT ON COLUMN exits.exit_code IS 'EXITCODE (appendix C)';
COMMENT ON COLUMN exits.guest_rip IS 'RIP of the guest at the exit';
COMMENT ON COLUMN exits.info1 IS 'EXITINFO1';
COMMENT ON COLUMN exits.info2 IS 'EXITINFO2';
COMMENT ON COLUMN exits.intr_info IS 'EXITINTINFO bits 31:0, the event whose delivery was interrupted (§15.7.2)';
COMMENT ON COLUMN exits.error_code IS 'EXITINTINFO bits 63:32, the error code of that event; null where it has none';
COMMENT ON COLUMN exits.nrip IS 'nRIP, the address of the next instruction; null where the exit saves none (§15.7.1)';
COMMENT ON COLUMN exits.cpl IS 'Privilege level of the guest';
COMMENT ON COLUMN exits.guest_instructions IS 'Instructions that the guest retired between VMRUN and the exit';
COMMENT ON COLUMN exits.guest_ns IS 'Virtual time in nanoseconds between VMRUN and the exit';
COMMENT ON COLUMN exits.host_instructions IS 'Instructions that the host retired between the exit before and this VMRUN';
COMMENT ON COLUMN exits.host_ns IS 'Virtual time in nanoseconds between the exit before and this VMRUN';
COMMENT ON COLUMN exits.handling_instructions IS 'Instructions retired between this exit and the next VMRUN of the same VMCB; null for the last';
COMMENT ON COLUMN exits.handling_ns IS 'Virtual time in nanoseconds between this exit and the next VMRUN of the same VMCB; null for the last';
COMMENT ON COLUMN exits.vmrun_sequence IS 'Sequence of the vmrun event that the exit ends; also of a VMRUN that was refused';
COMMENT ON COLUMN exits.vmrun_insn_count IS 'Instructions retired by the machine at that VMRUN';
COMMENT ON COLUMN exits.entry_rip IS 'RIP at which the guest was entered';
COMMENT ON COLUMN exits.vmcb IS 'Physical address of the VMCB';
COMMENT ON COLUMN exits.asid IS 'ASID of the guest';
COMMENT ON COLUMN exits.rax IS 'RAX of the guest';
COMMENT ON COLUMN exits.rsp IS 'RSP of the guest';
COMMENT ON COLUMN exits.rflags IS 'RFLAGS of the guest';
COMMENT ON COLUMN exits.cr3 IS 'CR3 of the guest';

-- What an exit says in an event of its own comes right behind it in the trace.

CREATE VIEW npf AS
SELECT
    x.exit_number,
    n.sequence,
    n.vcpu_id,
    n.insn_count,
    n.time_ns,
    n.gpa,
    n.error_code,
    (n.error_code & 1) <> 0 AS present,
    (n.error_code & 2) <> 0 AS is_write,
    (n.error_code & 4) <> 0 AS is_user,
    (n.error_code & 8) <> 0 AS reserved_bit,
    (n.error_code & 16) <> 0 AS is_fetch,
    (n.error_code & 4294967296) <> 0 AS final_address,
    (n.error_code & 8589934592) <> 0 AS table_walk,
    n.guest_rip
FROM raw.npf n
LEFT JOIN exits x ON x.sequence = n.sequence - 1
ORDER BY n.sequence;
COMMENT ON VIEW npf IS 'Nested page faults that left the guest (§15.25.6); error_code is EXITINFO1, taken apart in the columns after it';
COMMENT ON COLUMN npf.exit_number IS 'Number of its exit in table exits';
COMMENT ON COLUMN npf.present IS 'Bit 0: the page was present; the access is what was refused';
COMMENT ON COLUMN npf.is_write IS 'Bit 1: a write';
COMMENT ON COLUMN npf.is_user IS 'Bit 2: a user access, as every walk and access of a guest counts';
COMMENT ON COLUMN npf.reserved_bit IS 'Bit 3: a reserved bit was set in a nested table';
COMMENT ON COLUMN npf.is_fetch IS 'Bit 4: an instruction fetch';
COMMENT ON COLUMN npf.final_address IS 'Bit 32: the fault met the final guest physical address';
COMMENT ON COLUMN npf.table_walk IS 'Bit 33: the fault met a table of the guest''s own';

CREATE VIEW io AS
SELECT
    x.exit_number,
    i.sequence,
    i.vcpu_id,
    i.insn_count,
    i.time_ns,
    i.port::UBIGINT AS port,
    i.size,
    CASE WHEN i.is_in THEN 'in' ELSE 'out' END AS direction,
    CASE WHEN NOT i.is_in AND NOT i.string THEN i.value::UBIGINT END AS value,
    i.string,
    i.rep,
    i.guest_rip,
    i.next_rip
FROM raw.ioio i
LEFT JOIN exits x ON x.sequence = i.sequence - 1
ORDER BY i.sequence;
COMMENT ON VIEW io IS 'Intercepted IN, OUT, INS and OUTS (§15.10.2)';
COMMENT ON COLUMN io.exit_number IS 'Number of its exit in table exits';
COMMENT ON COLUMN io.direction IS 'in (IN, INS) or out (OUT, OUTS)';
COMMENT ON COLUMN io.value IS 'What OUT writes; null for IN, whose value the hypervisor makes, and for strings';

CREATE VIEW msr AS
SELECT
    x.exit_number,
    m.sequence,
    m.vcpu_id,
    m.insn_count,
    m.time_ns,
    m.msr,
    n.name,
    CASE WHEN m.is_write THEN 'write' ELSE 'read' END AS access,
    CASE WHEN m.is_write THEN m.value END AS value,
    m.guest_rip
FROM raw.msr m
LEFT JOIN exits x ON x.sequence = m.sequence - 1
LEFT JOIN internal.msr_name n ON n.msr = m.msr
ORDER BY m.sequence;
COMMENT ON VIEW msr IS 'Intercepted RDMSR and WRMSR (§15.11)';
COMMENT ON COLUMN msr.exit_number IS 'Number of its exit in table exits';
COMMENT ON COLUMN msr.name IS 'Name of the MSR in the manual (APM Vol 2 appendix A), null where it has none';
COMMENT ON COLUMN msr.access IS 'read (RDMSR) or write (WRMSR)';
COMMENT ON COLUMN msr.value IS 'What WRMSR writes (EDX:EAX); null for RDMSR, whose value the hypervisor makes';

CREATE VIEW cpuid AS
SELECT x.exit_number, c.*
FROM raw.cpuid c
LEFT JOIN exits x ON x.sequence = c.sequence - 1
ORDER BY c.sequence;
COMMENT ON VIEW cpuid IS 'Intercepted CPUID';
COMMENT ON COLUMN cpuid.exit_number IS 'Number of its exit in table exits';

CREATE VIEW injections AS
SELECT
    sequence,
    vcpu_id,
    insn_count,
    time_ns,
    CASE type WHEN 0 THEN 'interrupt' WHEN 2 THEN 'nmi' WHEN 3 THEN 'exception' WHEN 4 THEN 'software' ELSE 'reserved' END AS type,
    vector,
    has_error_code,
    CASE WHEN has_error_code THEN error_code::UBIGINT END AS error_code,
    event_inj,
    vmcb
FROM raw.injection;
COMMENT ON VIEW injections IS 'Events that the hypervisor injected through EVENTINJ (§15.20)';
COMMENT ON COLUMN injections.error_code IS 'Error code that is pushed; null where none is';
COMMENT ON COLUMN injections.type IS 'EVENTINJ.TYPE: interrupt, nmi, exception, software (INTn) or reserved';

CREATE VIEW virtual_interrupts AS
SELECT * FROM raw.virtual_interrupt;
COMMENT ON VIEW virtual_interrupts IS 'Virtual interrupts that the guest took through its IDT (§15.21.4)';

CREATE VIEW hypercalls AS
SELECT x.exit_number, h.*
FROM raw.vmmcall h
LEFT JOIN exits x ON x.sequence = h.sequence - 1
ORDER BY h.sequence;
COMMENT ON VIEW hypercalls IS 'Intercepted VMMCALL with the registers that carry its arguments by convention';
COMMENT ON COLUMN hypercalls.exit_number IS 'Number of its exit in table exits';

CREATE VIEW vmcb_changes AS
SELECT
    c.sequence,
    c.vcpu_id,
    c.insn_count,
    c.time_ns,
    c.vmcb,
    coalesce(f.name, printf('offset_%03x', c.field_offset)) AS field,
    c.field_offset::UBIGINT AS field_offset,
    c.field_size,
    c.old_value,
    c.new_value
FROM raw.vmcb_change c
LEFT JOIN internal.vmcb_field f
    ON f.field_offset = c.field_offset AND f.field_size = c.field_size
ORDER BY c.sequence;
COMMENT ON VIEW vmcb_changes IS 'VMCB fields that the hypervisor changed between a #VMEXIT and the next VMRUN';
COMMENT ON COLUMN vmcb_changes.field IS 'Name of the field, or offset_ and its offset where it has none';

CREATE VIEW consistency_failures AS
SELECT * FROM raw.consistency_failure;
COMMENT ON VIEW consistency_failures IS 'VMRUNs that refused the state of the guest, each with the rule that failed (§15.5.1)';

CREATE VIEW deliveries AS
SELECT
    CASE WHEN d.in_guest THEN x.exit_number END AS exit_number,
    d.sequence,
    d.vcpu_id,
    d.insn_count,
    d.time_ns,
    d.in_guest,
    d.rip,
    CASE d.type WHEN 0 THEN 'interrupt' WHEN 2 THEN 'nmi' WHEN 3 THEN 'exception' ELSE 'software' END AS type,
    d.vector,
    d.type IN (0, 2) AS "external",
    d.has_error_code,
    CASE WHEN d.has_error_code THEN d.error_code END AS error_code
FROM raw.delivery d
ASOF LEFT JOIN exits x ON x.vcpu_id = d.vcpu_id AND x.sequence > d.sequence
ORDER BY d.sequence;
COMMENT ON VIEW deliveries IS 'Interrupts and exceptions that were delivered through an IDT, in host or guest';
COMMENT ON COLUMN deliveries.exit_number IS 'Number of the exit by which the guest that took it was left next; null in the host, and where the trace ends before';
COMMENT ON COLUMN deliveries.type IS 'interrupt, nmi, exception or software (INTn)';
COMMENT ON COLUMN deliveries.external IS 'It came from outside of the instruction stream: an interrupt or an NMI';
COMMENT ON COLUMN deliveries.error_code IS 'Error code, null where none was pushed';

-- A tlb_control event comes right behind its vmrun event. A VMRUN that ends in VMEXIT_INVALID (EXITCODE -1) flushed nothing,
-- and one whose guest still runs at the end of the trace has no exit but did. Whether 7 meant what it says depends on FlushByAsid
-- in CPUID, of which events tell nothing.

CREATE VIEW tlb_flushes AS
SELECT
    t.sequence,
    t.vcpu_id,
    t.insn_count,
    t.time_ns,
    'vmrun' AS cause,
    CASE WHEN t.tlb_control <> 1 THEN t.asid END AS asid,
    NULL AS address,
    t.tlb_control <> 7 AS globals
FROM raw.tlb_control t
ANTI JOIN (SELECT vmrun_sequence FROM exits WHERE exit_code = 18446744073709551615) refused
    ON refused.vmrun_sequence = t.sequence - 1
UNION ALL
SELECT sequence, vcpu_id, insn_count, time_ns, 'invlpga', asid, address, true FROM raw.invlpga
UNION ALL
SELECT
    sequence,
    vcpu_id,
    insn_count,
    time_ns,
    cause,
    CASE WHEN NOT all_asids THEN asid END,
    CASE WHEN page THEN address END,
    globals
FROM raw.tlb_flush;
COMMENT ON VIEW tlb_flushes IS 'Translations that a processor dropped beyond what a program does to its own address space (§15.16): by TLB_CONTROL, INVLPGA, INVLPGB, SMI, RSM, MTRRs, INIT';
COMMENT ON COLUMN tlb_flushes.cause IS 'vmrun (TLB_CONTROL of a VMRUN that was not refused), invlpga, invlpgb, smi, rsm, msr, smm_ctl, init or reset';
COMMENT ON COLUMN tlb_flushes.asid IS 'ASID, 0 the host; null: all of them';
COMMENT ON COLUMN tlb_flushes.address IS 'Virtual address, if it was one page';
COMMENT ON COLUMN tlb_flushes.globals IS 'Translations of global pages were dropped too. False of a VMRUN: its TLB_CONTROL is 7; on a processor without FlushByAsid, where 7 is a reserved value, Pacifica drops them all the same';

CREATE VIEW console AS
SELECT * FROM internal.console_line;
COMMENT ON VIEW console IS 'What the machine wrote to its serial ports, by line; the moment is that of the first byte';
COMMENT ON COLUMN console.sequence IS 'Number of the event of the line''s first byte';
COMMENT ON COLUMN console.insn_count IS 'Instructions retired by the machine at the line''s first byte';
COMMENT ON COLUMN console.time_ns IS 'Virtual time in nanoseconds since power-on at the line''s first byte';
COMMENT ON COLUMN console.device IS 'COM1 or COM2';
COMMENT ON COLUMN console.line IS 'The line without its end';

COMMENT ON TABLE inputs IS 'What reached the machine from outside';
COMMENT ON COLUMN inputs.input IS 'Number of the input in the input log, from 0';
COMMENT ON COLUMN inputs.insn_count IS 'Instructions retired by the machine when it arrived';
COMMENT ON COLUMN inputs.time_ns IS 'Virtual time in nanoseconds since power-on when it arrived';
COMMENT ON COLUMN inputs.kind IS '1 bytes received by a serial port';
COMMENT ON COLUMN inputs.device IS '0 COM1, 1 COM2';
COMMENT ON COLUMN inputs.bytes IS 'Number of bytes';
COMMENT ON COLUMN inputs.data IS 'The bytes';
COMMENT ON COLUMN inputs.text IS 'The bytes as text';

COMMENT ON TABLE checkpoints IS 'The checkpoints of the trace: where a replay can begin';
COMMENT ON COLUMN checkpoints.checkpoint IS 'Number, from 0; pacifica replay --from-checkpoint takes it';
COMMENT ON COLUMN checkpoints.insn_count IS 'Instructions retired by the machine then';
COMMENT ON COLUMN checkpoints.time_ns IS 'Virtual time in nanoseconds since power-on then';
COMMENT ON COLUMN checkpoints.events IS 'Sequence of the first event after it';
COMMENT ON COLUMN checkpoints.inputs IS 'Number of the first input after it';
COMMENT ON COLUMN checkpoints.pages IS 'RAM pages written since the checkpoint before';
COMMENT ON COLUMN checkpoints.new_pages IS 'Those of them with contents that no earlier checkpoint has';
COMMENT ON COLUMN checkpoints.bytes IS 'Size of its file in bytes';
COMMENT ON COLUMN checkpoints.file IS 'Its file in the trace';

COMMENT ON VIEW events IS 'Every event of the trace: when, where and what kind; details are in the tables of its kind (schema raw)';
COMMENT ON COLUMN events.kind IS 'What kind of event; the table of that name in schema raw has its fields';

CREATE VIEW exit_stats AS
SELECT
    exit_reason,
    count(*) AS exits,
    (100.0 * count(*) / sum(count(*)) OVER ())::DECIMAL(5, 2) AS exits_percent,
    sum(guest_instructions)::BIGINT AS guest_instructions,
    sum(guest_ns)::BIGINT AS guest_ns,
    sum(handling_ns)::BIGINT AS handling_ns,
    (100.0 * sum(handling_ns) / sum(sum(handling_ns)) OVER ())::DECIMAL(5, 2) AS handling_percent,
    min(handling_ns) AS handling_min_ns,
    max(handling_ns) AS handling_max_ns,
    avg(handling_ns)::DECIMAL(18, 1) AS handling_avg_ns
FROM exits
GROUP BY exit_reason
ORDER BY exits DESC, exit_reason;
COMMENT ON VIEW exit_stats IS 'Exits by reason, as perf kvm stat shows them: how many, and the virtual time until the hypervisor came back to the guest';
COMMENT ON COLUMN exit_stats.exit_reason IS 'EXITCODE by the name that KVM gives it';
COMMENT ON COLUMN exit_stats.exits IS 'Number of exits';
COMMENT ON COLUMN exit_stats.exits_percent IS 'Their share of all exits';
COMMENT ON COLUMN exit_stats.guest_instructions IS 'Instructions that the guest retired before these exits';
COMMENT ON COLUMN exit_stats.guest_ns IS 'Virtual time in the guest before these exits';
COMMENT ON COLUMN exit_stats.handling_ns IS 'Virtual time from these exits to the next VMRUN of the same VMCB';
COMMENT ON COLUMN exit_stats.handling_percent IS 'Its share of all handling time';
COMMENT ON COLUMN exit_stats.handling_min_ns IS 'The shortest handling';
COMMENT ON COLUMN exit_stats.handling_max_ns IS 'The longest handling';
COMMENT ON COLUMN exit_stats.handling_avg_ns IS 'The mean handling';

CREATE VIEW io_ports AS
SELECT
    port,
    direction,
    size,
    count(*) AS accesses,
    count(DISTINCT guest_rip) AS places,
    min(insn_count) AS first_insn_count,
    max(insn_count) AS last_insn_count
FROM io
GROUP BY port, direction, size
ORDER BY accesses DESC, port, direction;
COMMENT ON VIEW io_ports IS 'Intercepted port accesses by port, direction and width';
COMMENT ON COLUMN io_ports.port IS 'Port';
COMMENT ON COLUMN io_ports.direction IS 'in or out';
COMMENT ON COLUMN io_ports.size IS 'Bytes at a time';
COMMENT ON COLUMN io_ports.accesses IS 'Number of intercepted accesses';
COMMENT ON COLUMN io_ports.places IS 'Number of different guest RIPs that made them';
COMMENT ON COLUMN io_ports.first_insn_count IS 'Instructions retired by the machine at the first one';
COMMENT ON COLUMN io_ports.last_insn_count IS 'Instructions retired by the machine at the last one';

CREATE VIEW npf_pages AS
SELECT
    gpa & ~(4095::UBIGINT) AS page,
    count(*) AS faults,
    count(*) FILTER (is_write) AS writes,
    count(*) FILTER (is_fetch) AS fetches,
    count(*) FILTER (table_walk) AS table_walks,
    count(DISTINCT guest_rip) AS places,
    min(insn_count) AS first_insn_count,
    max(insn_count) AS last_insn_count
FROM npf
GROUP BY page
ORDER BY faults DESC, page;
COMMENT ON VIEW npf_pages IS 'Nested page faults by guest physical page';
COMMENT ON COLUMN npf_pages.page IS 'Guest physical address of the page';
COMMENT ON COLUMN npf_pages.faults IS 'Number of nested page faults there';
COMMENT ON COLUMN npf_pages.writes IS 'Those of them that were writes';
COMMENT ON COLUMN npf_pages.fetches IS 'Those of them that were instruction fetches';
COMMENT ON COLUMN npf_pages.table_walks IS 'Those of them that met a table of the guest''s own';
COMMENT ON COLUMN npf_pages.places IS 'Number of different guest RIPs at which they happened';
COMMENT ON COLUMN npf_pages.first_insn_count IS 'Instructions retired by the machine at the first one';
COMMENT ON COLUMN npf_pages.last_insn_count IS 'Instructions retired by the machine at the last one';

CREATE VIEW msr_stats AS
SELECT
    msr,
    name,
    access,
    count(*) AS accesses,
    count(DISTINCT guest_rip) AS places
FROM msr
GROUP BY msr, name, access
ORDER BY accesses DESC, msr, access;
COMMENT ON VIEW msr_stats IS 'Intercepted MSR accesses by MSR and direction';
COMMENT ON COLUMN msr_stats.msr IS 'MSR';
COMMENT ON COLUMN msr_stats.name IS 'Its name in the manual, null where it has none';
COMMENT ON COLUMN msr_stats.access IS 'read or write';
COMMENT ON COLUMN msr_stats.accesses IS 'Number of intercepted accesses';
COMMENT ON COLUMN msr_stats.places IS 'Number of different guest RIPs that made them';

CREATE VIEW vmcb_change_stats AS
SELECT
    field,
    count(*) AS changes,
    count(DISTINCT vmcb) AS vmcbs,
    count(DISTINCT new_value) AS different_values
FROM vmcb_changes
GROUP BY field
ORDER BY changes DESC, field;
COMMENT ON VIEW vmcb_change_stats IS 'VMCB fields by how often the hypervisor changed them between an exit and the next VMRUN';
COMMENT ON COLUMN vmcb_change_stats.field IS 'Name of the field';
COMMENT ON COLUMN vmcb_change_stats.changes IS 'Number of times that the hypervisor changed it';
COMMENT ON COLUMN vmcb_change_stats.vmcbs IS 'Number of VMCBs in which it did';
COMMENT ON COLUMN vmcb_change_stats.different_values IS 'Number of different values that it wrote';

CREATE VIEW findings AS
SELECT
    finding,
    subject,
    CASE WHEN arg_min(mistake, sequence) THEN 'mistake' ELSE 'advice' END AS level,
    max(occurrences) AS occurrences,
    arg_min(vcpu_id, sequence) AS first_vcpu_id,
    min(insn_count) AS first_insn_count,
    min(time_ns) AS first_time_ns,
    arg_min(rip, sequence) AS first_rip,
    arg_min(in_guest, sequence) AS in_guest,
    arg_min(vmcb, sequence) AS vmcb,
    arg_min(detail, sequence) AS detail,
    arg_min(section, sequence) AS section,
    min(sequence) AS sequence
FROM raw."check"
GROUP BY finding, subject
ORDER BY sequence;
COMMENT ON VIEW findings IS 'Mistakes of the hypervisor that the sanitizer found (record --check), one row for each kind and subject';
COMMENT ON COLUMN findings.finding IS 'Kind of the mistake (docs/checks.md)';
COMMENT ON COLUMN findings.subject IS 'What it is about: a VMCB field, a rule, a register';
COMMENT ON COLUMN findings.level IS 'mistake (the manual forbids it) or advice';
COMMENT ON COLUMN findings.occurrences IS 'How often; exact where the recording ended, otherwise as of the last power of two';
COMMENT ON COLUMN findings.first_vcpu_id IS 'Processor of the first occurrence';
COMMENT ON COLUMN findings.first_insn_count IS 'Instructions retired by the machine at the first occurrence';
COMMENT ON COLUMN findings.first_time_ns IS 'Virtual time in nanoseconds at the first occurrence';
COMMENT ON COLUMN findings.first_rip IS 'RIP of the VMRUN, or of the access if in_guest, at the first occurrence';
COMMENT ON COLUMN findings.in_guest IS 'RIP is the guest''s';
COMMENT ON COLUMN findings.vmcb IS 'Physical address of the VMCB at the first occurrence';
COMMENT ON COLUMN findings.detail IS 'Values of the first occurrence';
COMMENT ON COLUMN findings.section IS 'Where the manual (APM Vol 2) tells of it';
COMMENT ON COLUMN findings.sequence IS 'Number of the first check event in the trace';

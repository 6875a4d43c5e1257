NAME        columns
ROWS
 N  Obj     
 G  cover_0 
 G  cover_1 
 G  cover_2 
COLUMNS
    MARK0000  'MARKER'                 'INTORG'
    y_0       Obj       31000
    y_0       cover_0   1
    y_0       cover_1   1
    y_1       Obj       31000
    y_1       cover_1   1
    y_2       Obj       34100
    y_2       cover_0   1
    y_2       cover_2   1
    y_3       Obj       34100
    y_3       cover_2   1
    u_0       Obj       168888
    u_0       cover_0   1
    u_1       Obj       235029
    u_1       cover_1   1
    u_2       Obj       258432
    u_2       cover_2   1
    MARK0001  'MARKER'                 'INTEND'
RHS
    RHS_V     cover_0   5
    RHS_V     cover_1   3
    RHS_V     cover_2   3
BOUNDS
 LI BOUND     y_0       0
 LI BOUND     y_1       0
 LI BOUND     y_2       0
 LI BOUND     y_3       0
 UI BOUND     u_0       5
 UI BOUND     u_1       3
 UI BOUND     u_2       3
ENDATA

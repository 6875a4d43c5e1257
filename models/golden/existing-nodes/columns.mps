NAME        columns
ROWS
 N  Obj     
 G  cover_0 
 G  cover_1 
 L  nodes_0 
 L  nodes_1 
COLUMNS
    MARK0000  'MARKER'                 'INTORG'
    y_0       Obj       85000
    y_0       cover_1   2
    y_1       Obj       170000
    y_1       cover_0   1
    y_2       Obj       170000
    y_2       cover_0   1
    y_2       cover_1   1
    y_3       Obj       252000
    y_3       cover_0   3
    y_3       cover_1   2
    y_4       Obj       768000
    y_4       cover_0   3
    y_4       cover_1   8
    y_5       cover_0   2
    y_5       nodes_0   1
    y_6       cover_0   1
    y_6       nodes_1   0.5
    y_7       cover_1   3
    y_7       nodes_1   0.5
    u_0       Obj       652304
    u_0       cover_0   1
    u_1       Obj       555767
    u_1       cover_1   1
    MARK0001  'MARKER'                 'INTEND'
RHS
    RHS_V     cover_0   3
    RHS_V     cover_1   8
    RHS_V     nodes_0   1
    RHS_V     nodes_1   1
BOUNDS
 LI BOUND     y_0       0
 LI BOUND     y_1       0
 LI BOUND     y_2       0
 LI BOUND     y_3       0
 LI BOUND     y_4       0
 LI BOUND     y_5       0
 LI BOUND     y_6       0
 LI BOUND     y_7       0
 UI BOUND     u_0       3
 UI BOUND     u_1       8
ENDATA
